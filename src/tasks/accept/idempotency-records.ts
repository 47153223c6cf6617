import { createHash } from 'node:crypto';
import { IdempotencyRecord } from '../../../contracts/tasks/idempotency.js';
import { BUCKET, SUBJECT } from '../../../contracts/wire/names.js';
import type { SpawnRequest } from '../../../contracts/tasks/spawn.js';
import type { Broker } from '../../broker/connect.js';
import { putEntry, recordIn } from '../../broker/kv.js';
import { lastBySubject } from '../../broker/read.js';

const STREAM = `KV_${BUCKET.idempotency}`;

/** A record as it stood at a sequence, which its next change expects. */
export interface Held {
  readonly subject: string;
  readonly seq: number;
  readonly record: IdempotencyRecord;
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** Where the record of an owner's key stands. Neither can hold a NUL, so no two pairs are alike. */
export const recordSubject = (owner: string, key: string): string => SUBJECT.idempotency(sha256(`${owner}\0${key}`));

/** Where it stands that a dead letter was put back; no client's key can lead there. */
export const putBackSubject = (taskId: string): string => SUBJECT.idempotency(sha256(`\0dead\0${taskId}`));

/** Where it stands which task a message to a managed agent became; no client's key can lead there. */
export const messageSubject = (agentId: string, messageId: string): string =>
  SUBJECT.idempotency(sha256(`\0message\0${agentId}\0${messageId}`));

/** Where it stands which task an agent's call of a tool made; no client's key can lead there. */
export const handsSubject = (key: string): string => SUBJECT.idempotency(sha256(`\0hands\0${key}`));

/** The same for requests that differ only in the order of their fields, or in how their JSON was written. */
export const requestHash = (request: SpawnRequest): string => sha256(JSON.stringify(sorted(request)));

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, field]) => field !== undefined)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, field]) => [name, sorted(field)]),
  );
}

/** The records of idempotency keys; read from the leader, changed by compare-and-set. */
export class IdempotencyRecords {
  readonly #broker: Broker;

  constructor(broker: Broker) {
    this.#broker = broker;
  }

  /** @throws {BrokerError} */
  async read(subject: string): Promise<Held | undefined> {
    const stored = await lastBySubject(this.#broker, STREAM, subject);
    // An empty one is a KV client's deletion.
    if (stored === undefined || stored.data.length === 0) return undefined;
    return { subject, seq: stored.seq, record: recordIn(IdempotencyRecord, stored.data, subject) };
  }

  /** @returns undefined when there is one already. @throws {BrokerError} */
  async create(subject: string, record: IdempotencyRecord): Promise<Held | undefined> {
    return this.#put(subject, record, 0);
  }

  /** @returns undefined when it has changed. @throws {BrokerError} */
  async change(held: Held, change: Partial<IdempotencyRecord>): Promise<Held | undefined> {
    return this.#put(held.subject, { ...held.record, ...change }, held.seq);
  }

  /** From now on nobody is told that the task was accepted. @returns false when somebody was. @throws {BrokerError} */
  async abandon(held: Held): Promise<boolean> {
    if ((await this.change(held, { state: 'abandoned' })) !== undefined) return true;
    const now = await this.read(held.subject);
    return now?.record.task_id !== held.record.task_id || now.record.state !== 'stored';
  }

  async #put(subject: string, record: IdempotencyRecord, seq: number): Promise<Held | undefined> {
    const written = await putEntry(this.#broker, subject, { schema: IdempotencyRecord, record }, seq);
    return written === undefined ? undefined : { subject, seq: written, record };
  }
}
