import { join } from 'node:path';
import type { Database } from 'lmdb';
import type { LmdbFileSpec } from '../../src/store/damaged-files.js';
import { LmdbFile } from '../../src/store/lmdb-file.js';
import type { TaskIdentity } from '../../src/broker/task-states.js';
import type { OutboxItem } from './outbox.js';

/** An attempt of this worker, with everything that another worker needs to return the run to the queue. */
export interface JournaledRun {
  readonly identity: TaskIdentity;
  readonly attempt: number;
  readonly startId: string;
  readonly startSeq: number;
  /** The reply subject of the run's delivery. */
  readonly reply: string;
}

const FILE = 'journal.mdb';
/** Estimates for the ids, and for the parts of an item besides the event. */
const HELD_BYTES = 4_096;
const ITEM_BYTES = 4_096;
const DATABASES = {
  held: { name: 'held', encoding: 'msgpack' },
  events: { name: 'events', encoding: 'msgpack' },
} as const;

/** The journal in a worker's folder. It has the only copy of undelivered events, so a damaged file is kept at `aside`. */
export const journalFile = (folder: string, aside: string): LmdbFileSpec => ({
  path: join(folder, FILE),
  databases: Object.values(DATABASES),
  aside,
});

/**
 * A worker's attempts and undelivered events, in a file that outlives the process. A committed write survives a kill of the process. Writes are not
 * synced to the disk: after a power loss, the leases expire and the tasks are retried.
 */
export class Journal {
  readonly #folder: string;
  #databases: Databases | undefined;

  /** Opens the file at its first use. @param folder of the worker whose journal it is */
  constructor(folder: string) {
    this.#folder = folder;
  }

  async hold(held: JournaledRun): Promise<void> {
    const { file, held: all } = this.#open();
    await file.write({ entries: 1, bytes: HELD_BYTES }, () => all.put(held.startId, held));
  }

  /** Removes an attempt that this worker no longer has, with its events. */
  async drop(startId: string): Promise<void> {
    const { file, held, events } = this.#open();
    const keys = [...events.getKeys(rangeOf(startId))];
    await file.write({ entries: keys.length + 1, bytes: 0 }, () =>
      file.root.transaction(() => {
        void held.remove(startId);
        for (const key of keys) void events.remove(key);
      }),
    );
  }

  /** @param n the item's number within the attempt @throws ENOSPC synchronously */
  add(startId: string, n: number, item: OutboxItem): Promise<unknown> {
    const { file, events } = this.#open();
    // The event is stored twice, in the item and in its publication. `item.bytes` also counts large values, which are not stored.
    const bytes = ITEM_BYTES + 2 * Buffer.byteLength(item.publication.payload);
    return file.write({ entries: 1, bytes }, () => events.put([startId, n], item));
  }

  /** Removes `count` items, from number `n` on, that the broker has stored. */
  async delivered(startId: string, n: number, count: number): Promise<void> {
    const { file, events } = this.#open();
    await file.write({ entries: count, bytes: 0 }, () =>
      file.root.transaction(() => {
        for (let index = n; index < n + count; index++) void events.remove([startId, index]);
      }),
    );
  }

  held(): JournaledRun[] {
    return [...this.#open().held.getRange()].map(({ value }) => value);
  }

  /** The undelivered items of an attempt, in order, up to the first that lacks values and so cannot be delivered. */
  undelivered(startId: string): OutboxItem[] {
    const items = [...this.#open().events.getRange(rangeOf(startId))].map(({ value }) => value);
    const lacking = items.findIndex((item) => item.lacking === true);
    return lacking === -1 ? items : items.slice(0, lacking);
  }

  /** Idempotent. */
  async close(): Promise<void> {
    const databases = this.#databases;
    this.#databases = undefined;
    await databases?.file.close();
  }

  #open(): Databases {
    this.#databases ??= openAll(join(this.#folder, FILE));
    return this.#databases;
  }
}

interface Databases {
  readonly file: LmdbFile;
  readonly held: Database<JournaledRun, string>;
  readonly events: Database<OutboxItem, [string, number]>;
}

function openAll(path: string): Databases {
  const file = new LmdbFile(path);
  return {
    file,
    held: file.root.openDB<JournaledRun, string>(DATABASES.held),
    events: file.root.openDB<OutboxItem, [string, number]>(DATABASES.events),
  };
}

const rangeOf = (startId: string): { start: [string, number]; end: [string, number] } => ({
  start: [startId, 0],
  end: [startId, Number.MAX_SAFE_INTEGER],
});
