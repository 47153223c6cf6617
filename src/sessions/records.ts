import type { Logger } from 'pino';
import { check } from '../../contracts/wire/check.js';
import { BUCKET, HEADER, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { SessionRecord } from '../../contracts/sessions/sessions.js';
import type { Broker } from '../broker/connect.js';
import { isBrokerError } from '../broker/errors.js';
import { purge } from '../broker/purge.js';
import { hasAny, lastBySubject, nextBySubject, subjectsOf } from '../broker/read.js';
import { parseJson } from '../json.js';

/** So many are asked for one by one, rather than with a list of all. */
const FEW = 8;

/** Whose a session is that has no task to say so: one that was imported, or whose tasks were deleted or forgotten. */
export class SessionRecords {
  readonly #broker: Broker;

  readonly #log: Pick<Logger, 'error'>;

  constructor(broker: Broker, log: Pick<Logger, 'error'>) {
    this.#broker = broker;
    this.#log = log;
  }

  /** Undefined: there is none, or a bad one, which is logged. @throws {BrokerError} */
  async find(sessionId: string): Promise<SessionRecord | undefined> {
    const stored = await lastBySubject(this.#broker, `KV_${BUCKET.sessions}`, SUBJECT.sessionRecord(sessionId));
    if (stored === undefined || stored.data.length === 0) return undefined;
    const record = check(SessionRecord, parseJson(stored.data));
    if (record.ok) return record.value;
    this.#log.error({ session_id: sessionId }, 'the record of a session is not valid and left out');
    return undefined;
  }

  /** The sessions that have one, and those that had one, in no order. @throws {BrokerError} */
  async ids(): Promise<string[]> {
    const subjects = await subjectsOf(this.#broker, `KV_${BUCKET.sessions}`, SUBJECT.sessionRecord('*'));
    return subjects.map((subject) => subject.slice(subject.lastIndexOf('.') + 1));
  }

  /** Which of these sessions have one, good or bad. @throws {BrokerError} */
  async among(sessionIds: readonly string[]): Promise<ReadonlySet<string>> {
    const found = new Set<string>();
    if (sessionIds.length > FEW) for (const id of await this.ids()) found.add(id);
    else
      for (const id of sessionIds)
        if (await hasAny(this.#broker, `KV_${BUCKET.sessions}`, SUBJECT.sessionRecord(id))) found.add(id);
    return new Set(sessionIds.filter((id) => found.has(id)));
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
    const subject = SUBJECT.sessionRecord(record.session_id);
    const last = await lastBySubject(this.#broker, `KV_${BUCKET.sessions}`, subject);
    if (last !== undefined && last.data.length > 0) return false;
    const expect = { filter: subject, seq: last?.seq ?? 0 };
    try {
      await this.#broker.publisher.publish({ subject, payload: JSON.stringify(record), expect });
      return true;
    } catch (error) {
      if (!isBrokerError(error, 'conflict')) throw error;
      return false;
    }
  }

  /** @throws {BrokerError} */
  async remove(sessionId: string): Promise<void> {
    await purge(this.#broker, `KV_${BUCKET.sessions}`, SUBJECT.sessionRecord(sessionId));
  }
}
