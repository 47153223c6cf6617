import { v7 as uuidv7 } from 'uuid';
import { randomInt } from 'node:crypto';
import type { Clock } from '../../clock.js';

/** Half of the field's range, so that the ids of one ms cannot run out. */
const FIRST_BELOW = 2 ** 31;
/** Ids do not follow the clock back by a correction up to this. A larger one means that the earlier ids were wrong. */
const BACK_MS = 1_000;

/** Creates task ids: UUIDv7s of the broker's time, ascending. APIs use that time to find a task's command. */
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
