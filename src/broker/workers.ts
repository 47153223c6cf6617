import { check } from '../../contracts/check.js';
import { BUCKET, SUBJECT } from '../../contracts/names.js';
import { LOST_AFTER_S, WorkerPresence, type WorkerShown } from '../../contracts/workers.js';
import { parseJson } from '../json.js';
import type { Broker } from './connect.js';
import { asBrokerError, lastBySubject, subjectsOf } from './read.js';

interface Entry {
  readonly data: Uint8Array;
  readonly time: Date;
}

/**
 * The workers that there are, as they say themselves; those started first come first.
 * @param read where from: replicas answer with one message, the leader with more.
 * @throws {BrokerError}
 */
export async function presentWorkers(
  broker: Broker,
  now = broker.clock.now(),
  read: (broker: Broker) => Promise<AsyncIterable<Entry> | Iterable<Entry>> = fromReplicas,
): Promise<WorkerShown[]> {
  const workers: WorkerShown[] = [];
  try {
    for await (const { data, time } of await read(broker)) {
      // An empty one is a deletion.
      const entry = data.length === 0 ? undefined : check(WorkerPresence, parseJson(data));
      if (entry?.ok !== true) continue;
      const { v: _version, state, ...shown } = entry.value;
      const lost = now - time.getTime() > LOST_AFTER_S * 1_000;
      workers.push({ ...shown, state: lost ? 'lost' : state, seen_at: time.toISOString() });
    }
  } catch (error) {
    throw asBrokerError(error, 'reading the workers');
  }
  return workers.toSorted((a, b) => (a.started_at < b.started_at ? -1 : 1));
}

const BUCKET_STREAM = `KV_${BUCKET.workers}`;

const fromReplicas = (broker: Broker): Promise<AsyncIterable<Entry>> =>
  broker.jsm.direct.getLastMessagesFor(BUCKET_STREAM, { multi_last: [SUBJECT.workersAll] });

/** A frozen replica is asked for nothing. @throws {BrokerError} */
export async function fromLeader(broker: Broker): Promise<Entry[]> {
  const subjects = await subjectsOf(broker, BUCKET_STREAM, SUBJECT.workersAll);
  const stored = await Promise.all(subjects.map((subject) => lastBySubject(broker, BUCKET_STREAM, subject)));
  return stored.flatMap((each) => (each === undefined ? [] : [{ data: each.data, time: new Date(each.time()) }]));
}
