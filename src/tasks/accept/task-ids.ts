import type { Clock } from '../../clock.js';
import { firstSeq, uuidv7At } from '../../uuid.js';

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
      this.#seq = firstSeq();
    } else this.#seq++;
    return uuidv7At(this.#ms, this.#seq);
  }
}
