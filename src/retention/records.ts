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

/** Stores the owners' retention ages, and the lease of the API that runs retention. */
export class RetentionRecords {
  readonly #broker: Broker;
  readonly #records: Records<typeof RetentionRecord, IdKey>;
  readonly #lease: Records<typeof RetentionLease, readonly []>;

  constructor(broker: Broker, log: Logger) {
    this.#broker = broker;
    this.#records = new Records(broker, RETENTION_RECORDS, log);
    this.#lease = new Records(broker, RETENTION_LEASE, log);
  }

  /** An owner's ages. `{}` if the owner has set none. @throws {BrokerError} */
  async of(owner: string): Promise<RetentionAges> {
    return (await this.#records.get([owner]))?.ages ?? {};
  }

  /** The revision of an owner's ages. 0 if the owner has set none. @throws {BrokerError} */
  async revision(owner: string): Promise<number> {
    const { exists, revision } = await this.#records.entry([owner]);
    return exists ? revision : 0;
  }

  /** The owners that have set ages. @throws {BrokerError} */
  owners(): Promise<string[]> {
    return this.#records.ids([]);
  }

  /** Replaces an owner's ages. `{}` deletes the record. @throws {ApiError} revision_mismatch. @throws {BrokerError} */
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

  /**
   * Acquires or renews the lease for `ms`. An unreadable lease counts as free, or retention would never run again.
   * @returns false if another API has the lease. @throws {BrokerError}
   */
  async lease(holder: string, ms: number): Promise<boolean> {
    const now = this.#broker.clock.now();
    const { readable: lease, revision } = await this.#lease.entry([]);
    if (lease !== undefined && lease.holder !== holder && lease.until > now) return false;
    const record = { v: FORMAT_VERSION, holder, until: Math.ceil(now + ms) };
    return (await this.#lease.put([], record, revision)) !== undefined;
  }
}
