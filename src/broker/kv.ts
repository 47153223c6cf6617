import { HEADER } from '../../contracts/wire/names.js';
import type { Broker } from './connect.js';
import { publishExpecting, type Expectation } from './publish.js';
import { lastBySubject } from './read.js';

/** The current state of a key. */
export interface KvEntry {
  /** 0: the key has no entry and no deletion marker. */
  readonly revision: number;
  /** Undefined: the key has no entry. */
  readonly data: Uint8Array | undefined;
}

/** Reads a key from the leader. A deletion marker counts as no entry, but the next write must expect its revision. @throws {BrokerError} */
export async function readEntry(broker: Broker, stream: string, subject: string): Promise<KvEntry> {
  const stored = await lastBySubject(broker, stream, subject);
  if (stored === undefined) return { revision: 0, data: undefined };
  return { revision: stored.seq, data: stored.data.length === 0 ? undefined : stored.data };
}

/**
 * @param expected the current revision; 0: the key must not exist; undefined: any.
 * @returns the new revision; undefined: the current revision is another one. @throws {BrokerError}
 */
export const putEntry = (
  broker: Broker,
  subject: string,
  payload: string,
  expected: number | undefined,
): Promise<number | undefined> =>
  publishExpecting(broker, { subject, payload, expect: expectationOf(subject, expected) });

/** Deletes an entry and leaves a deletion marker. @param ttlS seconds until the marker expires; 0: never. @returns as `putEntry`. @throws {BrokerError} */
export const deleteEntry = (
  broker: Broker,
  subject: string,
  expected: number,
  ttlS: number,
): Promise<number | undefined> => {
  const headers = { [HEADER.kvOperation]: 'DEL', ...(ttlS > 0 ? { [HEADER.ttl]: `${ttlS}s` } : {}) };
  return publishExpecting(broker, { subject, payload: '', headers, expect: expectationOf(subject, expected) });
};

const expectationOf = (subject: string, expected: number | undefined): Expectation | undefined =>
  expected === undefined ? undefined : { filter: subject, seq: expected };
