import { uuidv7 } from '../uuid.js';
import { keyToken } from '../../contracts/wire/key-token.js';
import type { Logger } from 'pino';
import { SESSION_NAMES, type SessionNameRecord } from '../../contracts/sessions/sessions.js';
import { FORMAT_VERSION, UUID_PATTERN } from '../../contracts/wire/names.js';
import type { OwnedKey } from '../../contracts/wire/record-kind.js';
import type { Broker } from '../broker/connect.js';
import { Records, REMOVE } from '../broker/records.js';
import type { TargetSession } from './target-session.js';

const UUID = new RegExp(UUID_PATTERN, 'i');

/**
 * Maps names to sessions, per owner. The first use of a name reserves it for a new session, by compare-and-set. The session's UUID is
 * random, so nobody can derive it from the name to occupy it or to find out that it exists (ADR 26).
 */
export class SessionNames {
  readonly #records: Records<typeof SessionNameRecord, OwnedKey>;

  constructor(broker: Broker, log: Logger) {
    this.#records = new Records(broker, SESSION_NAMES, log);
  }

  /** @param asked a UUID or a name. @returns undefined for a name that was never used. @throws {BrokerError} */
  async find(asked: string, owner: string): Promise<TargetSession | undefined> {
    if (UUID.test(asked)) return { sessionId: asked.toLowerCase(), fresh: false };
    const record = await this.#records.get([owner, keyToken(asked)]);
    return record === undefined ? undefined : choiceOf(record);
  }

  /** As `find`, but reserves an unused name. Without `asked`, a new session. @throws {BrokerError} */
  async findOrReserve(asked: string | undefined, owner: string): Promise<TargetSession> {
    if (asked === undefined) return { sessionId: uuidv7(), fresh: true };
    if (UUID.test(asked)) return { sessionId: asked.toLowerCase(), fresh: false };
    const reserved = { v: FORMAT_VERSION, session_id: uuidv7(), session_name: asked, owner };
    const { before } = await this.#records.update([owner, keyToken(asked)], ({ record }) =>
      record === undefined ? reserved : undefined,
    );
    return choiceOf(before.record ?? reserved);
  }

  /** Frees a name whose session was deleted. @throws {BrokerError} */
  async release(name: string, owner: string, sessionId: string): Promise<void> {
    await this.#records.update([owner, keyToken(name)], ({ record }) =>
      record?.session_id === sessionId ? REMOVE : undefined,
    );
  }

  /** Frees all names of an owner. @throws {BrokerError} */
  purge(owner: string): Promise<void> {
    return this.#records.purge([owner]);
  }
}

const choiceOf = ({ session_id: sessionId, session_name: sessionName }: SessionNameRecord): TargetSession => ({
  sessionId,
  sessionName,
  fresh: false,
});
