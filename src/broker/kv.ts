import type { Static, TSchema } from 'typebox';
import { check, type Checked } from '../../contracts/wire/check.js';
import { HEADER } from '../../contracts/wire/names.js';
import type { Broker } from './connect.js';
import { isRecord, parseJson } from '../json.js';
import { BrokerError, isBrokerError } from './errors.js';
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

/** The record in an entry. @throws {BrokerError} unreadable */
export function recordIn<S extends TSchema>(schema: S, data: Uint8Array, subject: string): Static<S> {
  const record = check(schema, parseJson(data));
  if (!record.ok) throw new BrokerError('unreadable', `The record ${subject} is not valid: ${faultsIn(record)}`);
  return record.value;
}

/** Whose a record is, good or bad; '': it does not say, so it is nobody's but those who see all. */
export const ownerIn = (record: unknown): string =>
  isRecord(record) && typeof record['owner'] === 'string' ? record['owner'] : '';

/**
 * Writes a record by compare-and-set, if it is one that its readers take: a bad record would fail every reader. @param expected the revision that it must have; 0: it must not be there.
 * @returns its new revision; undefined: somebody else was first. @throws {BrokerError}
 */
export async function putEntry(
  broker: Broker,
  subject: string,
  { schema, record }: { readonly schema: TSchema; readonly record: unknown },
  expected: number,
): Promise<number | undefined> {
  const checked = check(schema, record);
  if (!checked.ok)
    throw new BrokerError('refused', `The record ${subject} was not written, as it is not valid: ${faultsIn(checked)}`);
  return write(broker, { subject, payload: JSON.stringify(record), expect: { filter: subject, seq: expected } });
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

const faultsIn = ({ faults }: Checked<unknown> & { ok: false }): string =>
  faults.map(({ field, message }) => `${field} ${message}`.trim()).join('; ');

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
