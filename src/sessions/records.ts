import type { Logger } from 'pino';
import { SESSION_RECORDS, type SessionRecord } from '../../contracts/sessions/sessions.js';
import { HEADER, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import type { IdKey } from '../../contracts/wire/record-kind.js';
import type { Broker } from '../broker/connect.js';
import { nextBySubject } from '../broker/read.js';
import { Records } from '../broker/records.js';

/** Up to this many records are read one by one; for more, all ids are listed. */
const FEW = 8;

/** The owners of sessions without tasks: imported ones, and those whose tasks were deleted. */
export class SessionRecords {
  readonly #broker: Broker;
  readonly #records: Records<typeof SessionRecord, IdKey>;

  constructor(broker: Broker, log: Logger) {
    this.#broker = broker;
    this.#records = new Records(broker, SESSION_RECORDS, log);
  }

  /** Undefined: there is no record, or it is unreadable, which is logged. @throws {BrokerError} */
  async find(sessionId: string): Promise<SessionRecord | undefined> {
    return (await this.#records.entry([sessionId])).readable;
  }

  /** The sessions that have a record, unsorted. @throws {BrokerError} */
  ids(): Promise<string[]> {
    return this.#records.ids([]);
  }

  /** Which of these sessions have a record, readable or not. @throws {BrokerError} */
  async among(sessionIds: readonly string[]): Promise<ReadonlySet<string>> {
    if (sessionIds.length > FEW) {
      const known = new Set(await this.ids());
      return new Set(sessionIds.filter((id) => known.has(id)));
    }
    const entries = await Promise.all(sessionIds.map((id) => this.#records.entry([id])));
    return new Set(sessionIds.filter((_id, at) => entries[at]?.exists === true));
  }

  /** The owner by the record, or else by the transcript's first message; undefined: unknown. @throws {BrokerError} */
  async ownerOf(sessionId: string): Promise<string | undefined> {
    const [record, begun] = await Promise.all([this.find(sessionId), this.begun(sessionId)]);
    return record?.owner ?? begun?.owner;
  }

  /** The owner and time of the transcript's first message; undefined: unknown. @throws {BrokerError} */
  async begun(sessionId: string): Promise<Pick<SessionRecord, 'owner' | 'created_at'> | undefined> {
    const first = await nextBySubject(this.#broker, STREAM.transcripts, SUBJECT.transcript(sessionId));
    const owner = first?.header(HEADER.owner) ?? '';
    return first === undefined || owner === ''
      ? undefined
      : { owner, created_at: new Date(first.time()).toISOString() };
  }

  /** Creates the record. @returns false if there is one already. @throws {BrokerError} */
  async claim(record: SessionRecord): Promise<boolean> {
    return (await this.#records.create([record.session_id], record)) !== undefined;
  }

  /** @throws {BrokerError} */
  async remove(sessionId: string): Promise<void> {
    await this.#records.remove([sessionId]);
  }
}
