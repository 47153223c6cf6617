/** Says when a stream has been silent for too long. While its reader makes it wait, the silence is not its own. */
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

  /** Something came, and is read on after `gate`. @returns `gate`. */
  heard(gate: Promise<void> | undefined): Promise<void> | undefined {
    this.#arm();
    if (gate === undefined) return undefined;
    clearTimeout(this.#timer);
    return gate.finally(() => this.#arm());
  }

  /** Until `over` settles somebody else is waited for. */
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
