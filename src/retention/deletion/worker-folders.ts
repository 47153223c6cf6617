import { check } from '../../../contracts/wire/check.js';
import { SessionsDeletedAnswer, type UndeletedFolder } from '../../../contracts/retention/deletion.js';
import { SUBJECT } from '../../../contracts/wire/names.js';
import type { Broker } from '../../broker/connect.js';
import { workerProcesses, type PresentWorker } from '../../broker/workers.js';
import { parseJson } from '../../json.js';

/** Enough for the folders of most sessions. The deletion request waits for it. */
const BASE_TIMEOUT_MS = 2_000;
const PER_SESSION_MS = 10;
const MAX_TIMEOUT_MS = 20_000;
/** A request with more ids could exceed the maximum message size of 1 MB. */
const BATCH_SIZE = 10_000;
const NO_ANSWER = 'no_answer';

/** Tells all workers to delete the working folders of deleted sessions. @returns the folders that they have not deleted yet. @throws {BrokerError} */
export async function removeFolders(broker: Broker, sessionIds: readonly string[]): Promise<UndeletedFolder[]> {
  if (sessionIds.length === 0) return [];
  const workers = (await workerProcesses(broker)).filter(({ worker }) => worker.state !== 'lost');
  const left: UndeletedFolder[] = [];
  for (let at = 0; at < sessionIds.length; at += BATCH_SIZE) {
    const some = sessionIds.slice(at, at + BATCH_SIZE);
    left.push(...(await Promise.all(workers.map((worker) => ask(broker, worker, some)))).flat());
  }
  return left;
}

async function ask(
  broker: Broker,
  { process, worker: { worker_id, host } }: PresentWorker,
  sessionIds: readonly string[],
): Promise<UndeletedFolder[]> {
  const timeout = Math.min(MAX_TIMEOUT_MS, BASE_TIMEOUT_MS + PER_SESSION_MS * sessionIds.length);
  const request = JSON.stringify({ session_ids: sessionIds });
  // A worker that does not answer still learns of the deletion from SESSION_DELETED, now or at its next start.
  const reply = await broker.nc.request(SUBJECT.deletedSessions(process), request, { timeout }).catch(() => undefined);
  const answer = reply === undefined ? undefined : check(SessionsDeletedAnswer, parseJson(reply.data));
  if (answer?.ok !== true) return [{ worker_id, host, reason: NO_ANSWER }];
  return answer.value.undeleted.map((each) => ({ worker_id, host, ...each }));
}
