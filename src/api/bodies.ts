import { Readable } from 'node:stream';
import type { BlobRef } from '../../contracts/blob.js';
import type { Blobs } from '../broker/blobs.js';
import { isBrokerError } from '../broker/errors.js';
import { ApiError, apiErrorOf } from './api-error.js';

/** A body of any size, as JSON. */
export interface Body {
  /** Bytes; undefined: not known before its end. */
  readonly size: number | undefined;
  readonly stream: Readable;
}

/** A body that lies in the object store, read as fast as it is taken. @throws {ApiError} not_found */
export async function storedBody(
  blobs: Blobs,
  { name, size }: Pick<BlobRef, 'name'> & Partial<BlobRef>,
): Promise<Body> {
  const chunks = blobs.chunks({ name });
  try {
    const first = await chunks.next();
    return { size, stream: Readable.from(from(first, chunks), { objectMode: false }) };
  } catch (error) {
    if (isBrokerError(error, 'refused')) throw new ApiError('not_found', 'There is no such body (any more)');
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
