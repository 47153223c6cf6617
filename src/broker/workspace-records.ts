import { FORMAT_VERSION } from '../../contracts/wire/names.js';
import { WORKSPACE_PLACES, type WorkspacePlaces } from '../../contracts/tasks/workspace.js';
import type { Broker } from './connect.js';
import { Records } from './records.js';

/** The entries of `ksi_workspaces`, one for each root in which tasks wrote. */
const placesOf = (broker: Broker): Records<typeof WorkspacePlaces, readonly [root: string]> =>
  new Records(broker, WORKSPACE_PLACES);

const EMPTY: WorkspacePlaces = { v: FORMAT_VERSION, writers: [], waiting: [] };

interface StoredPlaces {
  readonly places: WorkspacePlaces;
  readonly revision: number;
}

/** Reads the writers and waiting tasks of a root from the leader. An invalid record counts as empty, so that it blocks neither tasks nor the sweeper. @throws {BrokerError} */
export async function readPlaces(broker: Broker, root: string): Promise<StoredPlaces> {
  const { readable: places = EMPTY, revision } = await placesOf(broker).entry([root]);
  return { places, revision };
}

/** Changes the places of a root; also replaces an invalid record. @param change returns undefined for no change. @returns the new places. @throws {BrokerError} */
export async function changePlaces(
  broker: Broker,
  root: string,
  change: (places: WorkspacePlaces) => Promise<WorkspacePlaces | undefined>,
): Promise<WorkspacePlaces> {
  const { record = EMPTY } = await placesOf(broker).update([root], async ({ readable: places, exists }) => {
    const isInvalid = exists && places === undefined;
    return (await change(places ?? EMPTY)) ?? (isInvalid ? EMPTY : undefined);
  });
  return record;
}

/** The roots that have an entry. @throws {BrokerError} */
export const rootsWithPlaces = (broker: Broker): Promise<string[]> => placesOf(broker).ids([]);

/** Whether a task waits in line and was not admitted yet. @throws {BrokerError} */
export async function waitsForPlace(broker: Broker, root: string, taskId: string): Promise<boolean> {
  const { places } = await readPlaces(broker, root);
  return places.waiting.some(({ task_id: id }) => id === taskId);
}

/** The sessions of waiting tasks. @throws {BrokerError} */
export async function sessionsWaitingForPlaces(broker: Broker): Promise<string[]> {
  const all = await Promise.all((await rootsWithPlaces(broker)).map((root) => readPlaces(broker, root)));
  return all.flatMap(({ places }) => places.waiting.map(({ session_id: id }) => id));
}
