/** Does what it is given one after another. One that fails is told to its caller, and the next goes on. */
export class InOrder {
  #last: Promise<unknown> = Promise.resolve();

  do<T>(action: () => Promise<T>): Promise<T> {
    const done = this.#last.then(action);
    this.#last = done.catch(() => undefined);
    return done;
  }

  /** All that was given so far is done. */
  async idle(): Promise<void> {
    await this.#last;
  }
}
