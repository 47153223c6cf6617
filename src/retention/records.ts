import { BUCKET, FORMAT_VERSION, SUBJECT } from '../../contracts/wire/names.js';
import { RetentionLease, RetentionRecord, type RetentionAges } from '../../contracts/retention/retention.js';
import type { Broker } from '../broker/connect.js';
import { putEntry, readEntry, recordIn } from '../broker/kv.js';
import { purge } from '../broker/purge.js';
import { subjectsOf } from '../broker/read.js';
import { changing } from '../access/owned-records.js';

const STREAM = `KV_${BUCKET.retention}`;

/** Owners' own ages, and which API looks for what is old. */
export class RetentionRecords {
  readonly #broker: Broker;

  constructor(broker: Broker) {
    this.#broker = broker;
  }

  /** @throws {BrokerError} */
  async of(owner: string): Promise<RetentionAges> {
    const subject = SUBJECT.retention(owner);
    const { data } = await readEntry(this.#broker, STREAM, subject);
    return data === undefined ? {} : recordIn(RetentionRecord, data, subject).ages;
  }

  /** The owners that have ages of their own. @throws {BrokerError} */
  async owners(): Promise<string[]> {
    const subjects = await subjectsOf(this.#broker, STREAM, SUBJECT.retention('*'));
    return subjects.map((subject) => subject.slice(subject.lastIndexOf('.') + 1));
  }

  /** @throws {BrokerError} @throws {ApiError} conflict */
  async set(owner: string, ages: RetentionAges): Promise<void> {
    if (Object.keys(ages).length === 0) return this.purge(owner);
    const written = { schema: RetentionRecord, record: { v: FORMAT_VERSION, ages } };
    await changing(async () => {
      const { revision } = await readEntry(this.#broker, STREAM, SUBJECT.retention(owner));
      return putEntry(this.#broker, SUBJECT.retention(owner), written, revision);
    });
  }

  /** @throws {BrokerError} */
  purge(owner: string): Promise<void> {
    return purge(this.#broker, STREAM, SUBJECT.retention(owner));
  }

  /** Takes or renews the lease. @returns false: another API holds it. @throws {BrokerError} */
  async lease(holder: string, ms: number): Promise<boolean> {
    const now = this.#broker.clock.now();
    const { data, revision } = await readEntry(this.#broker, STREAM, SUBJECT.retentionLease);
    const held = data === undefined ? undefined : recordIn(RetentionLease, data, SUBJECT.retentionLease);
    if (held !== undefined && held.holder !== holder && held.until > now) return false;
    const record = { v: FORMAT_VERSION, holder, until: Math.ceil(now + ms) };
    const written = await putEntry(this.#broker, SUBJECT.retentionLease, { schema: RetentionLease, record }, revision);
    return written !== undefined;
  }
}
