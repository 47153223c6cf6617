import type { Logger } from 'pino';
import { SESSION_RECORDS, type SessionRecord } from '../../contracts/sessions/sessions.js';
import { HEADER, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import type { IdKey } from '../../contracts/wire/record-kind.js';
import type { Broker } from '../broker/connect.js';
import { nextBySubject } from '../broker/read.js';
import { Records } from '../broker/records.js';

/** So many are asked for one by one, rather than with a list of all. */
const FEW = 8;

/** Whose a session is that has no task to say so: one that was imported, or whose tasks were deleted or forgotten. */
export class SessionRecords {
  readonly #broker: Broker;
  readonly #records: Records<typeof SessionRecord, IdKey>;

  constructor(broker: Broker, log: Logger) {
    this.#broker = broker;
    this.#records = new Records(broker, SESSION_RECORDS, log);
  }

  /** Undefined: there is none, or a bad one, which is logged. @throws {BrokerError} */
  async find(sessionId: string): Promise<SessionRecord | undefined> {
    return (await this.#records.entry([sessionId])).readable;
  }

  /** The sessions that have one, in no order. @throws {BrokerError} */
  ids(): Promise<string[]> {
    return this.#records.ids([]);
  }

  /** Which of these sessions have one, good or bad. @throws {BrokerError} */
  async among(sessionIds: readonly string[]): Promise<ReadonlySet<string>> {
    if (sessionIds.length > FEW) {
      const known = new Set(await this.ids());
      return new Set(sessionIds.filter((id) => known.has(id)));
    }
    const entries = await Promise.all(sessionIds.map((id) => this.#records.entry([id])));
    return new Set(sessionIds.filter((_id, at) => entries[at]?.exists === true));
  }

  /** By its record, or who began its transcript; undefined: there is none, or nobody knows. @throws {BrokerError} */
  async ownerOf(sessionId: string): Promise<string | undefined> {
    const [record, begun] = await Promise.all([this.find(sessionId), this.begun(sessionId)]);
    return record?.owner ?? begun?.owner;
  }

  /** Who began its transcript, and when; undefined: there is none, or nobody knows. @throws {BrokerError} */
  async begun(sessionId: string): Promise<Pick<SessionRecord, 'owner' | 'created_at'> | undefined> {
    const first = await nextBySubject(this.#broker, STREAM.transcripts, SUBJECT.transcript(sessionId));
    const owner = first?.header(HEADER.owner) ?? '';
    return first === undefined || owner === ''
      ? undefined
      : { owner, created_at: new Date(first.time()).toISOString() };
  }

  /** Writes one where there is none. @returns false: there is one, or somebody else was first. @throws {BrokerError} */
  async claim(record: SessionRecord): Promise<boolean> {
    return (await this.#records.create([record.session_id], record)) !== undefined;
  }

  /** @throws {BrokerError} */
  async remove(sessionId: string): Promise<void> {
    await this.#records.remove([sessionId]);
  }
}
