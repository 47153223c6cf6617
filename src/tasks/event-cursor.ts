import { decodeCursor, settledSequence, type CursorFault } from '../../contracts/wire/cursor.js';
import type { EventHub } from '../events/hub.js';
import { ApiError } from '../errors/api-error.js';

/**
 * The sequence of a client's cursor. The cursor may come from an API whose hub was ahead of this one, so this hub catches up before it
 * refuses a cursor.
 * @throws {ApiError} invalid_cursor, cursor_gone; broker_unavailable if the hub could not catch up
 */
export async function settledSequenceOf(cursor: string, hub: EventHub): Promise<number> {
  return checked(
    cursor,
    await settledSequence(cursor, hub.position, async () => {
      // Not `cursor_gone`: the client would start without a cursor and miss events.
      if (!(await hub.catchUp()))
        throw new ApiError(
          'broker_unavailable',
          `The broker does not answer, so the cursor \`${cursor}\` cannot be checked`,
        );
      return hub.position;
    }),
  );
}

/** As `settledSequenceOf`, but without catching up. @throws {ApiError} invalid_cursor, cursor_gone */
export const sequenceOf = (cursor: string, hub: EventHub): number =>
  checked(cursor, decodeCursor(cursor, hub.position));

function checked(cursor: string, seq: number | CursorFault): number {
  if (seq === 'invalid_cursor') throw new ApiError('invalid_cursor', `\`${cursor.slice(0, 64)}\` is not a cursor`);
  if (seq === 'cursor_gone')
    throw new ApiError(
      'cursor_gone',
      `The cursor \`${cursor}\` is ahead of the event stream or belongs to an earlier one`,
    );
  return seq;
}
