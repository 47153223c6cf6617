import { check } from '../../contracts/check.js';
import { BUCKET, SUBJECT } from '../../contracts/names.js';
import { LOST_AFTER_S, WorkerPresence, type WorkerShown } from '../../contracts/workers.js';
import type { Broker } from '../broker/connect.js';
import { parseJson } from '../json.js';
import { asBrokerError } from '../broker/read.js';
import { apiErrorOf } from './api-error.js';

/** The workers that there are, as they say themselves; those started first come first. @throws {ApiError} */
export async function workersOf(broker: Broker, now = broker.clock.now()): Promise<WorkerShown[]> {
  const workers: WorkerShown[] = [];
  try {
    const entries = await broker.jsm.direct.getLastMessagesFor(`KV_${BUCKET.workers}`, {
      multi_last: [SUBJECT.workersAll],
    });
    for await (const { data, time } of entries) {
      // An empty one is a deletion.
      const entry = data.length === 0 ? undefined : check(WorkerPresence, parseJson(data));
      if (entry?.ok !== true) continue;
      const { v: _version, state, ...shown } = entry.value;
      const lost = now - time.getTime() > LOST_AFTER_S * 1_000;
      workers.push({ ...shown, state: lost ? 'lost' : state, seen_at: time.toISOString() });
    }
  } catch (error) {
    throw apiErrorOf(asBrokerError(error, 'reading the workers'));
  }
  return workers.toSorted((a, b) => (a.started_at < b.started_at ? -1 : 1));
}
