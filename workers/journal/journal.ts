import { join } from 'node:path';
import type { Database } from 'lmdb';
import type { LmdbFileSpec } from '../../src/store/file.js';
import { LmdbFile } from '../../src/store/lmdb-file.js';
import type { TaskIdentity } from '../../src/broker/task-states.js';
import type { OutboxItem } from './outbox.js';

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
/** Of ids, and what else stands around an event. */
const HELD_BYTES = 4_096;
const ITEM_BYTES = 4_096;
const DATABASES = {
  held: { name: 'held', encoding: 'msgpack' },
  events: { name: 'events', encoding: 'msgpack' },
} as const;

/** The journal in a worker's folder. It holds the only copy of what its worker has not delivered, so a damaged one is kept at `aside`. */
export const journalFile = (folder: string, aside: string): LmdbFileSpec => ({
  path: join(folder, FILE),
  databases: Object.values(DATABASES),
  aside,
});

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

  async hold(held: Held): Promise<void> {
    const { file, held: all } = this.#open();
    await file.write({ entries: 1, bytes: HELD_BYTES }, () => all.put(held.startId, held));
  }

  /** The attempt is not this worker's any more. */
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

  /** @param n counts the items of an attempt. @throws ENOSPC, before it returns. */
  add(startId: string, n: number, item: OutboxItem): Promise<unknown> {
    const { file, events } = this.#open();
    // Its event, and the same as it is published. `item.bytes` counts large values too, which are not kept here.
    const bytes = ITEM_BYTES + 2 * Buffer.byteLength(item.publication.payload);
    return file.write({ entries: 1, bytes }, () => events.put([startId, n], item));
  }

  /** The items from `n` on, `count` of them, are stored in the broker. */
  async delivered(startId: string, n: number, count: number): Promise<void> {
    const { file, events } = this.#open();
    await file.write({ entries: count, bytes: 0 }, () =>
      file.root.transaction(() => {
        for (let index = n; index < n + count; index++) void events.remove([startId, index]);
      }),
    );
  }

  held(): Held[] {
    return [...this.#open().held.getRange()].map(({ value }) => value);
  }

  /** What of an attempt is not delivered, in order; not what follows one that can't be delivered any more. */
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
  readonly held: Database<Held, string>;
  readonly events: Database<OutboxItem, [string, number]>;
}

function openAll(path: string): Databases {
  const file = new LmdbFile(path);
  return {
    file,
    held: file.root.openDB<Held, string>(DATABASES.held),
    events: file.root.openDB<OutboxItem, [string, number]>(DATABASES.events),
  };
}

const rangeOf = (startId: string): { start: [string, number]; end: [string, number] } => ({
  start: [startId, 0],
  end: [startId, Number.MAX_SAFE_INTEGER],
});
