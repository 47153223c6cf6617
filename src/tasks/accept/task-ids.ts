import { v7 as uuidv7 } from 'uuid';
import { randomInt } from 'node:crypto';
import type { Clock } from '../../clock.js';

/** Half of what the field holds, so that ids of one ms cannot run out. */
const FIRST_BELOW = 2 ** 31;
/** A correction of the clock; further back, it was wrong before, and the ids with it. */
const BACK_MS = 1_000;

/** Ids of tasks: UUIDv7s of the broker's time, in the order in which they are made. All APIs look for a task's command by that time. */
export class TaskIds {
  readonly #clock: Pick<Clock, 'now'>;
  #ms = 0;
  #seq = 0;

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
  }

  next(): string {
    const now = this.#clock.now();
    if (now > this.#ms || now < this.#ms - BACK_MS) {
      this.#ms = now;
      this.#seq = randomInt(FIRST_BELOW);
    } else this.#seq++;
    return uuidv7({ msecs: this.#ms, seq: this.#seq });
  }
}
