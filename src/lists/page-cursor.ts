import { AGENT_PATTERN } from '../../contracts/agents/agents.js';
import { ApiError } from '../errors/api-error.js';

/** A page ends with a task or an agent; its id is where the next one begins. */
export const encodePage = (id: string): string => Buffer.from(id).toString('base64url');

const TASK = /^[0-9a-f-]{36}$/;
const SESSION = /^([0-9a-f-]{36}|taskless:([0-9a-f-]{36})?)$/;
/** Of a page of tasks. @throws {ApiError} invalid_cursor */
export const decodePage = (cursor: string): string => decode(cursor, TASK);

/** Of a page of sessions: a task's, or one of those that have none. @throws {ApiError} invalid_cursor */
export const decodeSessionPage = (cursor: string): string => decode(cursor, SESSION);

/** Of a page of agents. @throws {ApiError} invalid_cursor */
export const decodeAgentPage = (cursor: string): string => decode(cursor, new RegExp(AGENT_PATTERN));

/** Of a page of conversations: when the last one was made, and its id. @throws {ApiError} invalid_cursor */
export const decodeConversationPage = (cursor: string): string => decode(cursor, /^[0-9T:.Z-]{24} [0-9a-f-]{36}$/);

function decode(cursor: string, pattern: RegExp): string {
  const id = Buffer.from(cursor, 'base64url').toString();
  if (!pattern.test(id))
    throw new ApiError('invalid_cursor', 'The cursor of the page is not one of ours', {
      faults: [{ field: 'cursor', message: 'is not a `next_cursor`' }],
    });
  return id;
}
