import type { Logger } from 'pino';
import type { Clock } from '../../src/clock.js';
import type { Slots } from './slots.js';

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;

export interface ShortagesOptions {
  readonly clock: Clock;
  readonly slots: Pick<Slots, 'pause'>;
  /** Called when `current` has changed. */
  readonly onChange: () => void;
  readonly log: Logger;
}

/** While the host is short of something, its worker takes no more tasks for a while: longer each time, until one has run. */
export class Shortages {
  readonly #options: ShortagesOptions;
  #pauseMs = FIRST_PAUSE_MS;
  #count = 0;
  #current: string | undefined;
  #end: (() => void) | undefined;

  constructor(options: ShortagesOptions) {
    this.#options = options;
  }

  /** What the host is short of now; undefined: nothing, as far as the worker knows. */
  get current(): string | undefined {
    return this.#current;
  }

  /** Attempts that a shortage has ended. */
  get count(): number {
    return this.#count;
  }

  /** An attempt met one. */
  met(what: string): void {
    const { clock, slots, log, onChange } = this.#options;
    this.#count += 1;
    this.#current = what;
    // Those that began before the pause are no news.
    if (this.#end !== undefined) return;
    const ms = this.#pauseMs;
    this.#pauseMs = Math.min(LONGEST_PAUSE_MS, 2 * ms);
    log.error({ short_of: what, pause_ms: ms }, 'the host is short of something; no more tasks are taken for a while');
    const resume = slots.pause();
    const cancel = clock.after(ms, () => this.#end?.());
    this.#end = () => {
      cancel();
      resume();
      this.#end = undefined;
    };
    onChange();
  }

  /** An attempt had all that it needed. */
  over(): void {
    if (this.#current === undefined || this.#end !== undefined) return;
    this.#current = undefined;
    this.#pauseMs = FIRST_PAUSE_MS;
    this.#options.log.info('the host is not short of anything any more');
    this.#options.onChange();
  }

  stop(): Promise<void> {
    this.#end?.();
    return Promise.resolve();
  }
}
