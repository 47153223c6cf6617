import { HEADER } from '../../contracts/wire/names.js';
import type { Broker } from './connect.js';
import { publishExpecting, type Expectation } from './publish.js';
import { lastBySubject } from './read.js';

/** An entry of a KV bucket as it stands. */
export interface KvEntry {
  /** 0: there is none. */
  readonly revision: number;
  /** Undefined: there is none, or it was deleted. */
  readonly data: Uint8Array | undefined;
}

/** From the leader. The mark of a deletion is no entry, yet the next write expects its revision. @throws {BrokerError} */
export async function readEntry(broker: Broker, stream: string, subject: string): Promise<KvEntry> {
  const stored = await lastBySubject(broker, stream, subject);
  if (stored === undefined) return { revision: 0, data: undefined };
  return { revision: stored.seq, data: stored.data.length === 0 ? undefined : stored.data };
}

/**
 * @param expected the revision that the entry must have; 0: it must not exist; undefined: any.
 * @returns its new revision; undefined: it has another one. @throws {BrokerError}
 */
export const putEntry = (
  broker: Broker,
  subject: string,
  payload: string,
  expected: number | undefined,
): Promise<number | undefined> =>
  publishExpecting(broker, { subject, payload, expect: expectationOf(subject, expected) });

/** Leaves a mark. @param ttlS seconds until the mark expires; 0: never. @returns as `putEntry`. @throws {BrokerError} */
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
