import { FORMAT_VERSION } from '../../contracts/wire/names.js';
import { WORKSPACE_PLACES, type WorkspacePlaces } from '../../contracts/tasks/workspace.js';
import type { Broker } from './connect.js';
import { Records } from './records.js';

/** The entries of `ksi_workspaces`, one for each root in which tasks have written. */
const placesOf = (broker: Broker): Records<typeof WorkspacePlaces, readonly [root: string]> =>
  new Records(broker, WORKSPACE_PLACES);

const NOBODY: WorkspacePlaces = { v: FORMAT_VERSION, writers: [], waiting: [] };

interface KeptPlaces {
  readonly places: WorkspacePlaces;
  readonly revision: number;
}

/** Who writes below a root, and who waits, from the leader. A bad record counts as nobody's, so that it stops no task and no sweep. @throws {BrokerError} */
export async function readPlaces(broker: Broker, root: string): Promise<KeptPlaces> {
  const { readable: places = NOBODY, revision } = await placesOf(broker).entry([root]);
  return { places, revision };
}

/** Replaces a bad record. @param change undefined: nothing changes. @returns what stands after it. @throws {BrokerError} */
export async function changePlaces(
  broker: Broker,
  root: string,
  change: (places: WorkspacePlaces) => Promise<WorkspacePlaces | undefined>,
): Promise<WorkspacePlaces> {
  const { record = NOBODY } = await placesOf(broker).update([root], async ({ readable: places, exists }) => {
    const isBad = exists && places === undefined;
    return (await change(places ?? NOBODY)) ?? (isBad ? NOBODY : undefined);
  });
  return record;
}

/** The roots that have an entry. @throws {BrokerError} */
export const rootsWithPlaces = (broker: Broker): Promise<string[]> => placesOf(broker).ids([]);

/** Whether a task still waits: one that was let in, or never stood in line, does not. @throws {BrokerError} */
export async function waitsForPlace(broker: Broker, root: string, taskId: string): Promise<boolean> {
  const { places } = await readPlaces(broker, root);
  return places.waiting.some(({ task_id: id }) => id === taskId);
}

/** The sessions of tasks that wait. @throws {BrokerError} */
export async function sessionsWaitingForPlaces(broker: Broker): Promise<string[]> {
  const all = await Promise.all((await rootsWithPlaces(broker)).map((root) => readPlaces(broker, root)));
  return all.flatMap(({ places }) => places.waiting.map(({ session_id: id }) => id));
}
