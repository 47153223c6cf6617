import { join } from 'node:path';
import { open, type Database, type RootDatabase } from 'lmdb';
import type { TaskIdentity } from '../attempt/command.js';
import type { OutboxItem } from '../attempt/outbox.js';

/** An attempt that its worker holds: what another one needs to give it back. */
export interface Held {
  readonly identity: TaskIdentity;
  readonly attempt: number;
  readonly startId: string;
  readonly startSeq: number;
  /** The reply subject of the run's delivery. */
  readonly reply: string;
}

const FILE = 'journal.mdb';

/**
 * What a worker holds and has not delivered yet, in a file that outlives its process. Its writes survive a kill of the
 * process as soon as they are committed; nobody waits for the disk, since after a loss of power the lease does the rest.
 */
export class Journal {
  readonly #folder: string;
  #databases: Databases | undefined;

  /** @param folder of the worker that it is about; opened when it is first needed. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  hold(held: Held): Promise<unknown> {
    return this.#open().held.put(held.startId, held);
  }

  /** The attempt is not this worker's any more. */
  async drop(startId: string): Promise<void> {
    const { root, held, events } = this.#open();
    await root.transaction(() => {
      void held.remove(startId);
      for (const key of events.getKeys(rangeOf(startId))) void events.remove(key);
    });
  }

  /** @param n counts the items of an attempt. */
  add(startId: string, n: number, item: OutboxItem): Promise<unknown> {
    return this.#open().events.put([startId, n], item);
  }

  /** The items from `n` on, `count` of them, are stored in the broker. */
  delivered(startId: string, n: number, count: number): Promise<unknown> {
    const { root, events } = this.#open();
    return root.transaction(() => {
      for (let index = n; index < n + count; index++) void events.remove([startId, index]);
    });
  }

  held(): Held[] {
    return [...this.#open().held.getRange()].map(({ value }) => value);
  }

  /** What of an attempt is not delivered, in order. */
  undelivered(startId: string): OutboxItem[] {
    return [...this.#open().events.getRange(rangeOf(startId))].map(({ value }) => value);
  }

  /** Idempotent. */
  async close(): Promise<void> {
    const databases = this.#databases;
    this.#databases = undefined;
    await databases?.root.close();
  }

  #open(): Databases {
    this.#databases ??= openAll(join(this.#folder, FILE));
    return this.#databases;
  }
}

interface Databases {
  readonly root: RootDatabase<unknown, string>;
  readonly held: Database<Held, string>;
  readonly events: Database<OutboxItem, [string, number]>;
}

function openAll(path: string): Databases {
  const root = open<unknown, string>({ path, noSubdir: true, maxDbs: 4 });
  return {
    root,
    held: root.openDB<Held, string>({ name: 'held', encoding: 'msgpack' }),
    events: root.openDB<OutboxItem, [string, number]>({ name: 'events', encoding: 'msgpack' }),
  };
}

const rangeOf = (startId: string): { start: [string, number]; end: [string, number] } => ({
  start: [startId, 0],
  end: [startId, Number.MAX_SAFE_INTEGER],
});
