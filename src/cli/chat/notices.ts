import { explain } from '../run.js';
import type { Screen } from './screen.js';

/** Shows errors on the chat's screen, so that they do not end the chat. */
export class Notices {
  readonly #screen: Screen;

  constructor(screen: Screen) {
    this.#screen = screen;
  }

  /** Runs `work` and shows its error, unless `signal` has aborted. */
  async reporting(work: () => Promise<void>, signal?: AbortSignal): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (signal?.aborted !== true) this.#screen.note(explain(error).message, 'red');
    }
  }

  /** Returns a listener that reports once that the connection is being restored. */
  retrying(): (error: Error) => void {
    let shown = false;
    return ({ message }) => {
      if (!shown) this.#screen.note(`${message}; retrying`, 'yellow');
      shown = true;
    };
  }

  /** Runs `work`, which stores history or the last session. Its failure is harmless. */
  quietly(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#screen.note(`Could not save the chat's state: ${(error as Error).message}`, 'yellow');
    }
  }
}
