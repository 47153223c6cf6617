import { explain } from '../run.js';
import type { Screen } from './screen.js';

/** What goes wrong in a chat is told on its screen, and ends nothing. */
export class Notices {
  readonly #screen: Screen;

  constructor(screen: Screen) {
    this.#screen = screen;
  }

  /** Does what may fail, and says so, unless nobody waits for it any more. */
  async told(work: () => Promise<void>, signal?: AbortSignal): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (signal?.aborted !== true) this.#screen.note(explain(error).message, 'red');
    }
  }

  /** Says once that a broken connection is being resumed. */
  retrying(): (error: Error) => void {
    let said = false;
    return ({ message }) => {
      if (!said) this.#screen.note(`${message}; trying again`, 'yellow');
      said = true;
    };
  }

  /** Does what may fail without harm: what is remembered is a convenience. */
  quietly(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#screen.note(`It is not remembered: ${(error as Error).message}`, 'yellow');
    }
  }
}
