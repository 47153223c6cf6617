import type { SimProcess } from './process.js';
import type { Scheduler } from './scheduler.js';

type Call = (by: SimProcess | undefined) => void;

/** Moments that are told by what happens, not by the time: in the midst of what a process does. */
export class Moments {
  readonly #scheduler: Scheduler;
  readonly #calls = new Map<number, Call[]>();
  #count = 0;

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler;
  }

  /** Calls right after it has happened so many times, with whose doing it was. */
  at(count: number, call: Call): void {
    this.#calls.set(count, [...(this.#calls.get(count) ?? []), call]);
  }

  happened(by: SimProcess | undefined): void {
    for (const call of this.#calls.get(++this.#count) ?? []) this.#scheduler.after(0, () => call(by));
  }
}
