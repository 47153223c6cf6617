import type { Clock } from '../../src/clock.js';

export interface TimeLimitOptions {
  readonly clock: Pick<Clock, 'monotonic' | 'after'>;
  /** The limit of the time that counts. */
  readonly ms: number;
  /** The limit of all time, including the time that does not count. */
  readonly mostMs: number;
  readonly onOver: () => void;
}

/** Limits an attempt's time. The time in which a person decides about an approval does not count. */
export class TimeLimit {
  readonly #options: TimeLimitOptions;
  readonly #forgetMost: () => void;
  #left: number;
  #since: number;
  #forget: () => void = () => undefined;
  #held = 0;
  #stopped = false;

  constructor(options: TimeLimitOptions) {
    const { clock, ms, mostMs, onOver } = options;
    this.#options = options;
    this.#left = ms;
    this.#since = clock.monotonic();
    this.#forgetMost = clock.after(mostMs, onOver);
    this.#run();
  }

  /** No time counts until `until` settles. */
  hold(until: Promise<unknown>): void {
    if (this.#held === 0) this.#pause();
    this.#held += 1;
    const release = (): void => {
      this.#held -= 1;
      if (this.#held === 0) this.#run();
    };
    until.then(release, release);
  }

  stop(): void {
    this.#stopped = true;
    this.#forget();
    this.#forgetMost();
  }

  #pause(): void {
    this.#forget();
    this.#left -= this.#options.clock.monotonic() - this.#since;
  }

  #run(): void {
    if (this.#stopped) return;
    const { clock, onOver } = this.#options;
    this.#since = clock.monotonic();
    this.#forget = clock.after(Math.max(0, this.#left), onOver);
  }
}
