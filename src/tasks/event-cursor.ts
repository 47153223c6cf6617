import { decodeCursor, settledSequence, type CursorFault } from '../../contracts/wire/cursor.js';
import type { EventHub } from '../events/hub.js';
import { ApiError } from '../errors/api-error.js';

/**
 * The sequence of a client's cursor. Another API may have given it out while its hub was ahead of ours, so the stream is asked before the cursor is
 * refused.
 * @throws {ApiError} invalid_cursor, cursor_gone; broker_unavailable when the stream could not be asked
 */
export async function settledSequenceOf(cursor: string, hub: EventHub): Promise<number> {
  return checked(
    cursor,
    await settledSequence(cursor, hub.position, async () => {
      // A client that is told `cursor_gone` starts without a cursor and loses events.
      if (!(await hub.catchUp()))
        throw new ApiError('broker_unavailable', `The event stream cannot be asked for \`${cursor}\` now`);
      return hub.position;
    }),
  );
}

/** The sequence of a client's cursor, as far as this hub has come. @throws {ApiError} invalid_cursor, cursor_gone */
export const sequenceOf = (cursor: string, hub: EventHub): number =>
  checked(cursor, decodeCursor(cursor, hub.position));

function checked(cursor: string, seq: number | CursorFault): number {
  if (seq === 'invalid_cursor') throw new ApiError('invalid_cursor', `\`${cursor.slice(0, 64)}\` is not a cursor`);
  if (seq === 'cursor_gone')
    throw new ApiError('cursor_gone', `The cursor \`${cursor}\` is ahead of the event stream, or of another one`);
  return seq;
}
