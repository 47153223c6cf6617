import { check } from '../../../contracts/check.js';
import { BUCKET, SUBJECT } from '../../../contracts/names.js';
import { SessionRecord } from '../../../contracts/sessions.js';
import type { Broker } from '../../broker/connect.js';
import { lastBySubject } from '../../broker/read.js';

/** Whose a session is that has no task to say so: one that was imported. */
export class SessionRecords {
  readonly #broker: Broker;

  constructor(broker: Broker) {
    this.#broker = broker;
  }

  /** @throws {BrokerError} */
  async find(sessionId: string): Promise<SessionRecord | undefined> {
    const stored = await lastBySubject(this.#broker, `KV_${BUCKET.sessions}`, SUBJECT.sessionRecord(sessionId));
    if (stored === undefined || stored.data.length === 0) return undefined;
    const record = check(SessionRecord, JSON.parse(new TextDecoder().decode(stored.data)));
    return record.ok ? record.value : undefined;
  }

  /** @throws {BrokerError} */
  async put(record: SessionRecord): Promise<void> {
    const subject = SUBJECT.sessionRecord(record.session_id);
    await this.#broker.publisher.publish({ subject, payload: JSON.stringify(record) });
  }

  /** @throws {BrokerError} */
  async remove(sessionId: string): Promise<void> {
    // A mark of a deletion stays for ever: none for what was never there.
    if ((await this.find(sessionId)) === undefined) return;
    const headers = { 'KV-Operation': 'DEL' };
    await this.#broker.publisher.publish({ subject: SUBJECT.sessionRecord(sessionId), payload: '', headers });
  }
}
