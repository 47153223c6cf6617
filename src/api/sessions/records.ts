import { check } from '../../../contracts/check.js';
import { BUCKET, HEADER, STREAM, SUBJECT } from '../../../contracts/names.js';
import { SessionRecord } from '../../../contracts/sessions.js';
import type { Broker } from '../../broker/connect.js';
import { isBrokerError } from '../../broker/errors.js';
import { lastBySubject, nextBySubject } from '../../broker/read.js';
import { readStream } from '../../events/replay.js';
import { parseJson } from '../../json.js';

const STREAM_OF_RECORDS = `KV_${BUCKET.sessions}`;

/** Whose a session is that has no task to say so: one that was imported, or whose tasks were deleted or forgotten. */
export class SessionRecords {
  readonly #broker: Broker;

  constructor(broker: Broker) {
    this.#broker = broker;
  }

  /** @throws {BrokerError} */
  async find(sessionId: string): Promise<SessionRecord | undefined> {
    const stored = await lastBySubject(this.#broker, STREAM_OF_RECORDS, SUBJECT.sessionRecord(sessionId));
    if (stored === undefined || stored.data.length === 0) return undefined;
    const record = check(SessionRecord, JSON.parse(new TextDecoder().decode(stored.data)));
    return record.ok ? record.value : undefined;
  }

  /** All records after a place in their order, each with its own. @throws {BrokerError} */
  async *after(place: number): AsyncGenerator<{ place: number; record: SessionRecord }> {
    const filter = SUBJECT.sessionRecord('*');
    for await (const { seq, data } of readStream(
      this.#broker,
      STREAM_OF_RECORDS,
      filter,
      place,
      Number.MAX_SAFE_INTEGER,
    )) {
      const record = check(SessionRecord, parseJson(data));
      if (record.ok) yield { place: seq, record: record.value };
    }
  }

  /** By its record, or who began its transcript; undefined: there is none, or nobody knows. @throws {BrokerError} */
  async ownerOf(sessionId: string): Promise<string | undefined> {
    const [record, first] = await Promise.all([
      this.find(sessionId),
      nextBySubject(this.#broker, STREAM.transcripts, SUBJECT.transcript(sessionId)),
    ]);
    const owner = record?.owner ?? first?.header(HEADER.owner);
    return owner === '' ? undefined : owner;
  }

  /** Writes one where there is none. @returns false: there is one, or somebody else was first. @throws {BrokerError} */
  async claim(record: SessionRecord): Promise<boolean> {
    const subject = SUBJECT.sessionRecord(record.session_id);
    const last = await lastBySubject(this.#broker, STREAM_OF_RECORDS, subject);
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
    // A mark of a deletion stays for ever: none for what was never there.
    if ((await this.find(sessionId)) === undefined) return;
    const headers = { 'KV-Operation': 'DEL' };
    await this.#broker.publisher.publish({ subject: SUBJECT.sessionRecord(sessionId), payload: '', headers });
  }
}
