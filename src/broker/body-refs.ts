import { BlobRef } from '../../contracts/wire/blob.js';
import { check } from '../../contracts/wire/check.js';
import { isRecord, parseJson } from '../json.js';
import type { Broker } from './connect.js';
import { readStream } from './replay.js';

/** In every message whose body is in the object store. Most have none, and are not parsed. */
const REF = Buffer.from('"ref"');

/** What a stored message takes, and the object that its body is in. */
export interface StoredBody {
  readonly bytes: number;
  readonly ref: BlobRef | undefined;
}

/** The messages of a stream that match, with the objects that they refer to. @throws {BrokerError} */
export async function* bodiesIn(
  broker: Broker,
  stream: string,
  filter: string,
  upTo = Number.MAX_SAFE_INTEGER,
): AsyncGenerator<StoredBody> {
  for await (const { data } of readStream(broker, stream, filter, 0, upTo))
    yield {
      bytes: data.length,
      ref: Buffer.from(data.buffer, data.byteOffset, data.length).includes(REF) ? refIn(data) : undefined,
    };
}

/** An event has it in its data, an entry of a transcript at its top. */
function refIn(data: Uint8Array): BlobRef | undefined {
  const body = parseJson(data);
  if (!isRecord(body)) return undefined;
  const ref = check(BlobRef, body['ref'] ?? (isRecord(body['data']) ? body['data']['ref'] : undefined));
  return ref.ok ? ref.value : undefined;
}
