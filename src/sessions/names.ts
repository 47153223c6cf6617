import { v7 as uuidv7 } from 'uuid';
import { keyToken } from '../../contracts/wire/key-token.js';
import { BUCKET, FORMAT_VERSION, SUBJECT, UUID_PATTERN } from '../../contracts/wire/names.js';
import { SessionNameRecord } from '../../contracts/sessions/sessions.js';
import type { Broker } from '../broker/connect.js';
import { putEntry, readEntry, recordIn } from '../broker/kv.js';
import { purge } from '../broker/purge.js';
import { subjectsOf } from '../broker/read.js';
import type { SessionChoice } from './choice.js';

const BUCKET_STREAM = `KV_${BUCKET.sessions}`;
const UUID = new RegExp(UUID_PATTERN, 'i');

/**
 * The sessions that names stand for. A name is an owner's own: its first use reserves it, by compare-and-set, for a new session. The session's UUID
 * cannot be computed from the name, so nobody can take it first or find out that it exists (ADR 26).
 */
export class SessionNames {
  readonly #broker: Broker;

  constructor(broker: Broker) {
    this.#broker = broker;
  }

  /** @param asked a UUID or a name. @returns undefined for a name that was never used. @throws {BrokerError} */
  async find(asked: string, owner: string): Promise<SessionChoice | undefined> {
    if (UUID.test(asked)) return { sessionId: asked.toLowerCase(), fresh: false };
    const { record } = await this.#read(asked, owner);
    return record === undefined ? undefined : choiceOf(record);
  }

  /** The same, and reserves a name that was never used. No `asked` is a new session. @throws {BrokerError} */
  async choose(asked: string | undefined, owner: string): Promise<SessionChoice> {
    if (asked === undefined) return { sessionId: uuidv7(), fresh: true };
    if (UUID.test(asked)) return { sessionId: asked.toLowerCase(), fresh: false };
    for (;;) {
      const { record, revision } = await this.#read(asked, owner);
      if (record !== undefined) return choiceOf(record);
      const made: SessionNameRecord = { v: FORMAT_VERSION, session_id: uuidv7(), session_name: asked, owner };
      const entry = { schema: SessionNameRecord, record: made };
      const written = await putEntry(this.#broker, SUBJECT.sessionName(owner, keyToken(asked)), entry, revision);
      if (written !== undefined) return choiceOf(made);
      // Another API has just reserved it.
    }
  }

  /** Frees a name whose session was deleted. @throws {BrokerError} */
  async release(name: string, owner: string, sessionId: string): Promise<void> {
    const { record, revision } = await this.#read(name, owner);
    if (record?.session_id === sessionId) await this.#remove(SUBJECT.sessionName(owner, keyToken(name)), revision);
  }

  /** Frees all names of an owner. @throws {BrokerError} */
  async purge(owner: string): Promise<void> {
    for (const subject of await subjectsOf(this.#broker, BUCKET_STREAM, SUBJECT.sessionName(owner, '*'))) {
      const { revision, data } = await readEntry(this.#broker, BUCKET_STREAM, subject);
      if (data !== undefined) await this.#remove(subject, revision);
    }
  }

  /** Leaves no mark, which would stay for ever, and nothing that was reserved since. */
  async #remove(subject: string, revision: number): Promise<void> {
    await purge(this.#broker, BUCKET_STREAM, subject, revision);
  }

  async #read(name: string, owner: string): Promise<{ record: SessionNameRecord | undefined; revision: number }> {
    const subject = SUBJECT.sessionName(owner, keyToken(name));
    const { revision, data } = await readEntry(this.#broker, BUCKET_STREAM, subject);
    return { record: data === undefined ? undefined : recordIn(SessionNameRecord, data, subject), revision };
  }
}

const choiceOf = ({ session_id: sessionId, session_name: sessionName }: SessionNameRecord): SessionChoice => ({
  sessionId,
  sessionName,
  fresh: false,
});
