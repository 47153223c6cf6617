import { ApiError } from './api-error.js';

/** A page ends with a task; its id is where the next one begins. */
export const encodePage = (id: string): string => Buffer.from(id).toString('base64url');

const ID = /^[0-9a-f-]{36}$/;

/** @param pattern what it may be. @throws {ApiError} invalid_cursor */
export function decodePage(cursor: string, pattern = ID): string {
  const id = Buffer.from(cursor, 'base64url').toString();
  if (!pattern.test(id))
    throw new ApiError('invalid_cursor', 'The cursor of the page is not one of ours', {
      faults: [{ field: 'cursor', message: 'is not a `next_cursor`' }],
    });
  return id;
}
