import type { Logger } from 'pino';
import {
  RETENTION_LEASE,
  RETENTION_RECORDS,
  type RetentionAges,
  type RetentionLease,
  type RetentionRecord,
} from '../../contracts/retention/retention.js';
import { FORMAT_VERSION } from '../../contracts/wire/names.js';
import type { IdKey } from '../../contracts/wire/record-kind.js';
import type { Broker } from '../broker/connect.js';
import { Records, REMOVE } from '../broker/records.js';
import { expectRevision } from '../errors/api-error.js';

/** Owners' own ages, and which API looks for what is old. */
export class RetentionRecords {
  readonly #broker: Broker;
  readonly #records: Records<typeof RetentionRecord, IdKey>;
  readonly #lease: Records<typeof RetentionLease, readonly []>;

  constructor(broker: Broker, log: Logger) {
    this.#broker = broker;
    this.#records = new Records(broker, RETENTION_RECORDS, log);
    this.#lease = new Records(broker, RETENTION_LEASE, log);
  }

  /** @throws {BrokerError} */
  async of(owner: string): Promise<RetentionAges> {
    return (await this.#records.get([owner]))?.ages ?? {};
  }

  /** 0: the owner has no ages. @throws {BrokerError} */
  async revision(owner: string): Promise<number> {
    const { exists, revision } = await this.#records.entry([owner]);
    return exists ? revision : 0;
  }

  /** The owners that have ages of their own. @throws {BrokerError} */
  owners(): Promise<string[]> {
    return this.#records.ids([]);
  }

  /** Without any age, the owner's record is removed. @throws {ApiError} revision_mismatch. @throws {BrokerError} */
  async set(owner: string, ages: RetentionAges, expected?: number): Promise<void> {
    await this.#records.update([owner], ({ exists, revision }) => {
      expectRevision(expected, exists ? revision : 0);
      if (Object.keys(ages).length > 0) return { v: FORMAT_VERSION, ages };
      return exists ? REMOVE : undefined;
    });
  }

  /** @throws {BrokerError} */
  async purge(owner: string): Promise<void> {
    await this.#records.remove([owner]);
  }

  /** Takes or renews the lease. A bad lease counts as none, or nothing would ever be deleted again. @returns false: another API holds it. @throws {BrokerError} */
  async lease(holder: string, ms: number): Promise<boolean> {
    const now = this.#broker.clock.now();
    const { readable: held, revision } = await this.#lease.entry([]);
    if (held !== undefined && held.holder !== holder && held.until > now) return false;
    const record = { v: FORMAT_VERSION, holder, until: Math.ceil(now + ms) };
    return (await this.#lease.put([], record, revision)) !== undefined;
  }
}
