import { HEADER } from '../../contracts/names.js';
import type { Broker } from './connect.js';
import { isBrokerError } from './errors.js';
import { lastBySubject } from './read.js';

/** An entry of a KV bucket as it stands. */
export interface KvEntry {
  /** 0: there is none. */
  readonly revision: number;
  /** Undefined: there is none, or not any more. */
  readonly data: Uint8Array | undefined;
}

/** From the leader. A deletion's mark is no entry, yet the next write expects its revision. @throws {BrokerError} */
export async function readEntry(broker: Broker, stream: string, subject: string): Promise<KvEntry> {
  const stored = await lastBySubject(broker, stream, subject);
  if (stored === undefined) return { revision: 0, data: undefined };
  return { revision: stored.seq, data: stored.data.length === 0 ? undefined : stored.data };
}

/**
 * Writes an entry by compare-and-set. @param expected the revision that it must have; 0: it must not be there.
 * @returns its new revision; undefined: somebody else was first. @throws {BrokerError}
 */
export async function putEntry(
  broker: Broker,
  subject: string,
  value: unknown,
  expected: number,
): Promise<number | undefined> {
  return write(broker, { subject, payload: JSON.stringify(value), expect: { filter: subject, seq: expected } });
}

/** Leaves a mark, which goes by itself. @param ttlS seconds that it stays. @returns as `putEntry`. @throws {BrokerError} */
export async function deleteEntry(
  broker: Broker,
  subject: string,
  expected: number,
  ttlS: number,
): Promise<number | undefined> {
  const headers = { [HEADER.kvOperation]: 'DEL', [HEADER.ttl]: `${ttlS}s` };
  return write(broker, { subject, payload: '', headers, expect: { filter: subject, seq: expected } });
}

async function write(
  { publisher }: Broker,
  publication: Parameters<Broker['publisher']['publish']>[0],
): Promise<number | undefined> {
  try {
    return (await publisher.publish(publication)).seq;
  } catch (error) {
    if (!isBrokerError(error, 'conflict')) throw error;
    return undefined;
  }
}
