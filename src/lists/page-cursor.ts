import { AGENT_PATTERN } from '../../contracts/agents/agents.js';
import { ApiError } from '../errors/api-error.js';

/** The cursor of the page after the item with this id. */
export const encodePage = (id: string): string => Buffer.from(id).toString('base64url');

const TASK = /^[0-9a-f-]{36}$/;
const SESSION = /^([0-9a-f-]{36}|taskless:([0-9a-f-]{36})?)$/;
/** Decodes the cursor of a page of tasks. @throws {ApiError} invalid_cursor */
export const decodePage = (cursor: string): string => decode(cursor, TASK);

/** Decodes the cursor of a page of sessions: the id of a task, or of a session without tasks. @throws {ApiError} invalid_cursor */
export const decodeSessionPage = (cursor: string): string => decode(cursor, SESSION);

/** Decodes the cursor of a page of agents. @throws {ApiError} invalid_cursor */
export const decodeAgentPage = (cursor: string): string => decode(cursor, new RegExp(AGENT_PATTERN));

/** Decodes the cursor of a page of conversations: creation time and id of the last one. @throws {ApiError} invalid_cursor */
export const decodeConversationPage = (cursor: string): string => decode(cursor, /^[0-9T:.Z-]{24} [0-9a-f-]{36}$/);

function decode(cursor: string, pattern: RegExp): string {
  const id = Buffer.from(cursor, 'base64url').toString();
  if (!pattern.test(id))
    throw new ApiError('invalid_cursor', 'KSI did not make this cursor', {
      faults: [{ field: 'cursor', message: 'must be the `next_cursor` of an earlier page' }],
    });
  return id;
}
