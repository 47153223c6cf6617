import { WorkspaceSizesAnswer, type WorkspaceSizesRequest } from '../../contracts/retention/workspace-sizes.js';
import { check } from '../../contracts/wire/check.js';
import { SUBJECT } from '../../contracts/wire/names.js';
import type { Broker } from '../broker/connect.js';
import { workerProcesses, type PresentWorker } from '../broker/workers.js';
import { parseJson } from '../json.js';

/** Workers stop measuring earlier. */
const ANSWER_WITHIN_MS = 2_500;

type Sizes = ReadonlyMap<string, number>;

/**
 * Asks all workers for the sizes of sessions' own working folders.
 * @returns bytes by session id, without sessions of unknown size. Empty if a host does not answer, because it may have a folder of any session.
 * @throws {BrokerError}
 */
export async function workspaceSizes(broker: Broker, sessionIds: readonly string[]): Promise<Sizes> {
  if (sessionIds.length === 0) return new Map();
  const workers = await workerProcesses(broker);
  const live = workers.filter(({ worker }) => worker.state !== 'lost');
  const answers = await Promise.all(live.map((worker) => ask(broker, worker, sessionIds)));
  const hosts = new Set(live.map(({ worker }) => worker.host));
  const isComplete = live.length > 0 && workers.every(({ worker }) => hosts.has(worker.host));
  const known = answers.filter((answer) => answer !== undefined);
  return isComplete && known.length === answers.length ? sumOf(sessionIds, known) : new Map();
}

interface Measurement {
  /** The host, and the folder that contains the working folders. */
  readonly place: string;
  readonly sizes: Sizes;
}

/** Pure. Sums the bytes of each session that every place has measured. Workers that share a place count once. */
export function sumOf(sessionIds: readonly string[], measurements: readonly Measurement[]): Sizes {
  const places = new Map<string, Sizes>();
  for (const { place, sizes } of measurements) places.set(place, new Map([...(places.get(place) ?? []), ...sizes]));
  const sums = new Map<string, number>();
  for (const id of sessionIds) {
    const bytes = [...places.values()].map((sizes) => sizes.get(id)).filter((each) => each !== undefined);
    if (bytes.length === places.size)
      sums.set(
        id,
        bytes.reduce((sum, each) => sum + each, 0),
      );
  }
  return sums;
}

async function ask(
  broker: Broker,
  { process, worker }: PresentWorker,
  sessionIds: readonly string[],
): Promise<Measurement | undefined> {
  const request = JSON.stringify({ session_ids: [...sessionIds] } satisfies WorkspaceSizesRequest);
  const options = { timeout: ANSWER_WITHIN_MS };
  const reply = await broker.nc.request(SUBJECT.workspaceSizes(process), request, options).catch(() => undefined);
  const answer = reply === undefined ? undefined : check(WorkspaceSizesAnswer, parseJson(reply.data));
  if (answer?.ok !== true) return undefined;
  const { folder, sizes } = answer.value;
  return {
    place: `${worker.host} ${folder}`,
    sizes: new Map(sizes.map(({ session_id: id, bytes }) => [id, bytes])),
  };
}
