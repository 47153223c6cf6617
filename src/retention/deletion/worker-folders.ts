import { check } from '../../../contracts/wire/check.js';
import { SessionsDeletedAnswer, type UndeletedFolder } from '../../../contracts/retention/deletion.js';
import { SUBJECT } from '../../../contracts/wire/names.js';
import type { Broker } from '../../broker/connect.js';
import { workerProcesses, type PresentWorker } from '../../broker/workers.js';
import { parseJson } from '../../json.js';

/** Longer than a worker takes for what most runs leave. Whoever deletes waits for it. */
const ANSWER_WITHIN_MS = 2_000;
const PER_SESSION_MS = 10;
const MAX_MS = 20_000;
/** Of a request: a message has 1 MB at most. */
const AT_ONCE = 10_000;
const NO_ANSWER = 'no_answer';

/** Has every worker remove the working folders of deleted sessions. @returns what they could not remove so far. @throws {BrokerError} */
export async function removeFolders(broker: Broker, sessionIds: readonly string[]): Promise<UndeletedFolder[]> {
  if (sessionIds.length === 0) return [];
  const workers = (await workerProcesses(broker)).filter(({ worker }) => worker.state !== 'lost');
  const left: UndeletedFolder[] = [];
  for (let at = 0; at < sessionIds.length; at += AT_ONCE) {
    const some = sessionIds.slice(at, at + AT_ONCE);
    left.push(...(await Promise.all(workers.map((worker) => ask(broker, worker, some)))).flat());
  }
  return left;
}

async function ask(
  broker: Broker,
  { process, worker: { worker_id, host } }: PresentWorker,
  sessionIds: readonly string[],
): Promise<UndeletedFolder[]> {
  const timeout = Math.min(MAX_MS, ANSWER_WITHIN_MS + PER_SESSION_MS * sessionIds.length);
  const request = JSON.stringify({ session_ids: sessionIds });
  // Whatever the reason, the worker hears of the deletion by its event, now or at its next start.
  const reply = await broker.nc.request(SUBJECT.deletedSessions(process), request, { timeout }).catch(() => undefined);
  const answer = reply === undefined ? undefined : check(SessionsDeletedAnswer, parseJson(reply.data));
  if (answer?.ok !== true) return [{ worker_id, host, reason: NO_ANSWER }];
  return answer.value.left.map((each) => ({ worker_id, host, ...each }));
}
