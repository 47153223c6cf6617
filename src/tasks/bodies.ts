import { Readable } from 'node:stream';
import type { BlobRef } from '../../contracts/wire/blob.js';
import type { Blobs } from '../broker/blobs.js';
import { isBrokerError } from '../broker/errors.js';
import { ApiError, apiErrorOf } from '../errors/api-error.js';

/** A JSON body of any size. */
export interface Body {
  /** In bytes; undefined: unknown until the stream ends. */
  readonly size: number | undefined;
  readonly stream: Readable;
}

/** Streams a body from the object store, with backpressure. @throws {ApiError} not_found */
export async function storedBody(
  blobs: Blobs,
  { name, size }: Pick<BlobRef, 'name'> & Partial<BlobRef>,
): Promise<Body> {
  const chunks = blobs.chunks({ name });
  try {
    const first = await chunks.next();
    return { size, stream: Readable.from(from(first, chunks), { objectMode: false }) };
  } catch (error) {
    if (isBrokerError(error, 'refused'))
      throw new ApiError('not_found', 'There is no such body. It may have been deleted');
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
