import type { OutboxItem } from '../../workers/journal/outbox.js';
import type { JournaledRun, Journal } from '../../workers/journal/journal.js';
import type { SimProcess } from './process.js';
import type { Scheduler } from './scheduler.js';

/** A worker's journal: what is written is there a moment later, unless the process dies before. It outlives the process. */
export class SimJournal implements Pick<Journal, 'hold' | 'drop' | 'add' | 'delivered' | 'held' | 'undelivered'> {
  readonly #process: SimProcess;
  readonly #scheduler: Scheduler;
  readonly #held = new Map<string, JournaledRun>();
  readonly #events = new Map<string, Map<number, OutboxItem>>();
  #last = 0;

  constructor(process: SimProcess, scheduler: Scheduler) {
    this.#process = process;
    this.#scheduler = scheduler;
  }

  hold(held: JournaledRun): Promise<void> {
    return this.#write(() => void this.#held.set(held.startId, held));
  }

  drop(startId: string): Promise<void> {
    return this.#write(() => {
      this.#held.delete(startId);
      this.#events.delete(startId);
    });
  }

  add(startId: string, n: number, item: OutboxItem): Promise<void> {
    return this.#write(() => {
      const events = this.#events.get(startId) ?? new Map<number, OutboxItem>();
      this.#events.set(startId, events.set(n, item));
    });
  }

  delivered(startId: string, n: number, count: number): Promise<void> {
    return this.#write(() => {
      for (let index = n; index < n + count; index++) this.#events.get(startId)?.delete(index);
    });
  }

  held(): JournaledRun[] {
    return [...this.#held.values()];
  }

  undelivered(startId: string): OutboxItem[] {
    return [...(this.#events.get(startId) ?? [])].toSorted(([a], [b]) => a - b).map(([, item]) => item);
  }

  /** In order, as LMDB commits. */
  #write(change: () => void): Promise<void> {
    const { now, random } = this.#scheduler;
    this.#last = Math.max(this.#last + 1e-6, now + 3 * random());
    return new Promise((resolve) => {
      this.#scheduler.after(this.#last - now, () => {
        if (this.#process.dead) return;
        change();
        this.#process.run(resolve);
      });
    });
  }
}
