import { Readable } from 'node:stream';
import type { BlobRef } from '../../contracts/wire/blob.js';
import type { Blobs } from '../broker/blobs.js';
import { isBrokerError } from '../broker/errors.js';
import { ApiError, apiErrorOf } from '../errors/api-error.js';

/** A body of any size, as JSON. */
export interface Body {
  /** In bytes; undefined: it is not known until the stream ends. */
  readonly size: number | undefined;
  readonly stream: Readable;
}

/** A body in the object store. It is read as fast as its reader takes it. @throws {ApiError} not_found */
export async function storedBody(
  blobs: Blobs,
  { name, size }: Pick<BlobRef, 'name'> & Partial<BlobRef>,
): Promise<Body> {
  const chunks = blobs.chunks({ name });
  try {
    const first = await chunks.next();
    return { size, stream: Readable.from(from(first, chunks), { objectMode: false }) };
  } catch (error) {
    if (isBrokerError(error, 'refused')) throw new ApiError('not_found', 'There is no such body, or it was deleted');
    throw apiErrorOf(error);
  }
}

async function* from(first: IteratorResult<Uint8Array>, rest: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
  if (first.done !== true) yield first.value;
  yield* rest;
}

export const bodyOf = (json: string): Body => {
  const bytes = Buffer.from(json);
  return { size: bytes.length, stream: Readable.from([bytes], { objectMode: false }) };
};
