import { decodeCursor } from '../events/cursor.js';
import type { EventHub } from '../events/hub.js';
import { ApiError } from './api-error.js';

/**
 * The same, of a cursor that may come from another API whose hub is a moment ahead of ours: it is looked for in the stream before it is refused.
 * @throws {ApiError} invalid_cursor, cursor_gone; broker_unavailable when it could not be looked for
 */
export async function settledSequenceOf(cursor: string, hub: EventHub): Promise<number> {
  // To say that it is gone would make its client go on without it, and so lose what came since.
  if (decodeCursor(cursor, hub.position) === 'cursor_gone' && !(await hub.catchUp()))
    throw new ApiError('broker_unavailable', `Whether the event stream has come to \`${cursor}\` can't be told now`);
  return sequenceOf(cursor, hub);
}

/** The sequence that a client's cursor stands for. @throws {ApiError} invalid_cursor, cursor_gone */
export function sequenceOf(cursor: string, hub: EventHub): number {
  const seq = decodeCursor(cursor, hub.position);
  if (seq === 'invalid_cursor') throw new ApiError('invalid_cursor', `\`${cursor.slice(0, 64)}\` is not a cursor`);
  if (seq === 'cursor_gone')
    throw new ApiError('cursor_gone', `The cursor \`${cursor}\` is ahead of the event stream, or of another one`);
  return seq;
}
