/** The number of unread messages at which the queue pauses its sender. */
const HIGH_WATER = 1_000;

interface Flow {
  /** Called when the queue has HIGH_WATER unread messages. */
  full(): void;
  /** Called when the reader has read them. */
  emptied(): void;
}

/** Buffers messages between a socket, which pushes, and an iterator, which pulls. */
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

  /** Ends the queue, after the messages that were already pushed. Only the first call has an effect. */
  end(error?: Error): void {
    this.#ended ??= { error };
    this.#wake?.();
  }

  /** Yields the messages until the end. @throws the error passed to `end` */
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
