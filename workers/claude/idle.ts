/** Says when a stream has been silent for too long. While its reader makes it wait, the silence is not its own. */
export class IdleWatch {
  readonly #ms: number;
  readonly #onIdle: () => void;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

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

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #arm(): void {
    clearTimeout(this.#timer);
    if (!this.#stopped) this.#timer = setTimeout(this.#onIdle, this.#ms);
  }
}
