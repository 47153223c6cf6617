import { MemoryOutbox, type Outbox, type OutboxItem } from './outbox.js';
import type { Journal } from './journal.js';

/** An outbox whose items outlive the worker's process. */
export class JournaledOutbox implements Outbox {
  readonly #journal: Pick<Journal, 'add' | 'delivered'>;
  readonly #startId: string;
  readonly #memory: MemoryOutbox;
  readonly #onFailure: (error: unknown) => void;
  #added = 0;
  #delivered = 0;
  #failed = false;

  /**
   * @param deliver as in MemoryOutbox
   * @param onFailure called when the journal cannot be written. The events still go to the broker
   */
  constructor(
    journal: Pick<Journal, 'add' | 'delivered'>,
    startId: string,
    deliver: (batch: readonly OutboxItem[]) => Promise<void>,
    onFailure: (error: unknown) => void,
  ) {
    this.#journal = journal;
    this.#startId = startId;
    this.#onFailure = onFailure;
    this.#memory = new MemoryOutbox(async (batch) => {
      await deliver(batch);
      const first = this.#delivered;
      this.#delivered += batch.length;
      this.#journal.delivered(startId, first, batch.length).catch(onFailure);
    });
  }

  add(item: OutboxItem): void {
    this.#record(item);
    this.#memory.add(item);
  }

  /** Records nothing after a failure, because a gap between the recorded events would be undetectable. */
  #record({ restore, ...kept }: OutboxItem): void {
    const n = this.#added++;
    if (this.#failed) return;
    const item: OutboxItem = restore === undefined ? kept : { ...kept, lacking: true };
    try {
      this.#journal.add(this.#startId, n, item).catch((error: unknown) => this.#fail(error));
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this.#failed = true;
    this.#onFailure(error);
  }

  room(): Promise<void> | undefined {
    return this.#memory.room();
  }

  drained(): Promise<void> {
    return this.#memory.drained();
  }
}
