import { check } from '../../contracts/wire/check.js';
import { BUCKET, SUBJECT } from '../../contracts/wire/names.js';
import { LOST_AFTER_S, WorkerPresence, type WorkerView } from '../../contracts/tasks/workers.js';
import { parseJson } from '../json.js';
import type { Broker } from './connect.js';
import { asBrokerError, lastBySubject, subjectsOf } from './read.js';

interface Entry {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly time: Date;
}

/** A worker with the name of its process, which addresses requests to it. */
export interface PresentWorker {
  readonly process: string;
  readonly worker: WorkerView;
}

/** The workers by their presence entries, sorted by start time. @throws {BrokerError} */
export const presentWorkers = async (broker: Broker, now?: number, read?: Reading): Promise<WorkerView[]> =>
  (await workerProcesses(broker, now, read)).map(({ worker }) => worker);

/** Reads the presence entries. */
type Reading = (broker: Broker) => Promise<AsyncIterable<Entry> | Iterable<Entry>>;

/** `presentWorkers` with the workers' processes. @throws {BrokerError} */
export async function workerProcesses(
  broker: Broker,
  now = broker.clock.now(),
  read: Reading = fromReplicas,
): Promise<PresentWorker[]> {
  const workers: PresentWorker[] = [];
  try {
    for await (const { subject, data, time } of await read(broker)) {
      // An empty entry is a deletion marker.
      const entry = data.length === 0 ? undefined : check(WorkerPresence, parseJson(data));
      if (entry?.ok !== true) continue;
      const { v: _version, state, ...shown } = entry.value;
      const lost = now - time.getTime() > LOST_AFTER_S * 1_000;
      const worker = { ...shown, state: lost ? ('lost' as const) : state, seen_at: time.toISOString() };
      workers.push({ process: subject.split('.').at(-2) ?? '', worker });
    }
  } catch (error) {
    throw asBrokerError(error, 'reading the workers');
  }
  return workers.toSorted(({ worker: a }, { worker: b }) => (a.started_at < b.started_at ? -1 : 1));
}

const BUCKET_STREAM = `KV_${BUCKET.workers}`;

const fromReplicas = (broker: Broker): Promise<AsyncIterable<Entry>> =>
  broker.jsm.direct.getLastMessagesFor(BUCKET_STREAM, { multi_last: [SUBJECT.workersAll] });

/** Reads from the leader, with one request per worker, and so avoids frozen replicas. @throws {BrokerError} */
export async function fromLeader(broker: Broker): Promise<Entry[]> {
  const subjects = await subjectsOf(broker, BUCKET_STREAM, SUBJECT.workersAll);
  const stored = await Promise.all(subjects.map((subject) => lastBySubject(broker, BUCKET_STREAM, subject)));
  return stored.flatMap((each) =>
    each === undefined ? [] : [{ subject: each.subject, data: each.data, time: new Date(each.time()) }],
  );
}
