/** Detects a stream that is silent for too long. The time in which its reader makes the stream wait does not count. */
export class IdleWatch {
  readonly #ms: number;
  readonly #onIdle: () => void;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  #held = 0;

  constructor(ms: number, onIdle: () => void) {
    this.#ms = ms;
    this.#onIdle = onIdle;
    this.#arm();
  }

  /** Call it when data arrives. The time does not count until `gate` resolves. @returns `gate`. */
  onOutput(gate: Promise<void> | undefined): Promise<void> | undefined {
    this.#arm();
    if (gate === undefined) return undefined;
    clearTimeout(this.#timer);
    return gate.finally(() => this.#arm());
  }

  /** The time does not count until `over` settles. */
  hold(over: Promise<unknown>): void {
    this.#held += 1;
    clearTimeout(this.#timer);
    const release = (): void => {
      this.#held -= 1;
      this.#arm();
    };
    over.then(release, release);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #arm(): void {
    clearTimeout(this.#timer);
    if (!this.#stopped && this.#held === 0) this.#timer = setTimeout(this.#onIdle, this.#ms);
  }
}
