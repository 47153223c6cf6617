/** Runs actions one after another. An action that fails rejects only for its caller. */
export class InOrder {
  #last: Promise<unknown> = Promise.resolve();

  do<T>(action: () => Promise<T>): Promise<T> {
    const done = this.#last.then(action);
    this.#last = done.catch(() => undefined);
    return done;
  }

  /** Resolves when all actions so far have ended. */
  async idle(): Promise<void> {
    await this.#last;
  }
}
