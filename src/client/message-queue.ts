/** Beyond so many unread messages the sender is asked to wait. */
const HIGH_WATER = 1_000;

interface Flow {
  /** The reader is behind. */
  full(): void;
  emptied(): void;
}

/** Between a socket, which pushes, and an iterator, which pulls. */
export class MessageQueue<T> {
  readonly #flow: Flow;
  #messages: T[] = [];
  #full = false;
  #ended: { readonly error: Error | undefined } | undefined;
  #wake: (() => void) | undefined;

  constructor(flow: Flow) {
    this.#flow = flow;
  }

  push(message: T): void {
    this.#messages.push(message);
    if (this.#messages.length >= HIGH_WATER && !this.#full) {
      this.#full = true;
      this.#flow.full();
    }
    this.#wake?.();
  }

  /** The first end counts; what was pushed before it is still read. */
  end(error?: Error): void {
    this.#ended ??= { error };
    this.#wake?.();
  }

  /** @throws the error that it ended with. */
  async *messages(): AsyncGenerator<T> {
    for (;;) {
      while (this.#messages.length > 0) {
        const messages = this.#messages;
        this.#messages = [];
        yield* messages;
      }
      if (this.#full) {
        this.#full = false;
        this.#flow.emptied();
      } else if (this.#ended !== undefined) {
        if (this.#ended.error !== undefined) throw this.#ended.error;
        return;
      } else {
        await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    }
  }
}
