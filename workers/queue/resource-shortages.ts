import type { Logger } from 'pino';
import type { Clock } from '../../src/clock.js';
import type { Slots } from './slots.js';

const FIRST_PAUSE_MS = 1_000;
const MAX_PAUSE_MS = 60_000;

export interface ResourceShortagesOptions {
  readonly clock: Clock;
  readonly slots: Pick<Slots, 'pause'>;
  /** Called when `current` has changed. */
  readonly onChange: () => void;
  readonly log: Logger;
}

/** Pauses the worker when its host lacks a resource. The pause grows with each shortage until an attempt succeeds. */
export class ResourceShortages {
  readonly #options: ResourceShortagesOptions;
  #pauseMs = FIRST_PAUSE_MS;
  #count = 0;
  #current: string | undefined;
  #end: (() => void) | undefined;

  constructor(options: ResourceShortagesOptions) {
    this.#options = options;
  }

  /** The resource that the host lacks. Undefined if the worker knows of none. */
  get current(): string | undefined {
    return this.#current;
  }

  /** The number of attempts that a shortage has ended. */
  get count(): number {
    return this.#count;
  }

  /** Call this when a shortage has ended an attempt. */
  record(what: string): void {
    const { clock, slots, log, onChange } = this.#options;
    this.#count += 1;
    this.#current = what;
    // Attempts that started before the pause meet the same shortage.
    if (this.#end !== undefined) return;
    const ms = this.#pauseMs;
    this.#pauseMs = Math.min(MAX_PAUSE_MS, 2 * ms);
    log.error(
      { short_of: what, pause_ms: ms },
      'the host lacks a resource; the worker pauses before it takes more tasks',
    );
    const resume = slots.pause();
    const cancel = clock.after(ms, () => this.#end?.());
    this.#end = () => {
      cancel();
      resume();
      this.#end = undefined;
    };
    onChange();
  }

  /** Call this when an attempt had all resources. */
  over(): void {
    if (this.#current === undefined || this.#end !== undefined) return;
    this.#current = undefined;
    this.#pauseMs = FIRST_PAUSE_MS;
    this.#options.log.info('the host has enough resources again');
    this.#options.onChange();
  }

  stop(): Promise<void> {
    this.#end?.();
    return Promise.resolve();
  }
}
