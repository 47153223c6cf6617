import { v5 as uuidv5, v7 as uuidv7 } from 'uuid';
import { SESSION_NAMESPACE, UUID_PATTERN } from '../../../contracts/names.js';

export interface SessionChoice {
  readonly sessionId: string;
  readonly sessionName?: string;
  /** The session whose conversation it goes on from. */
  readonly forkOf?: string;
  /** Made by us just now: nothing else can be of it. */
  readonly fresh: boolean;
}

const UUID = new RegExp(UUID_PATTERN, 'i');

/** The session that a client's `session_id` stands for: a UUID itself, a name the UUIDv5 of `<owner>/<name>`, none a new one. */
export function chooseSession(asked: string | undefined, owner: string): SessionChoice {
  if (asked === undefined) return { sessionId: uuidv7(), fresh: true };
  if (UUID.test(asked)) return { sessionId: asked.toLowerCase(), fresh: false };
  return { sessionId: uuidv5(`${owner}/${asked}`, SESSION_NAMESPACE), sessionName: asked, fresh: false };
}

/** A new session that goes on from one that is there. */
export const chooseFork = (asked: string, owner: string): SessionChoice => ({
  ...chooseSession(undefined, owner),
  forkOf: chooseSession(asked, owner).sessionId,
});
