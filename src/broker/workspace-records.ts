import { BUCKET, FORMAT_VERSION, SUBJECT } from '../../contracts/wire/names.js';
import { WorkspacePlaces } from '../../contracts/tasks/workspace.js';
import type { Broker } from './connect.js';
import { putEntry, readEntry, recordIn } from './kv.js';
import { subjectsOf } from './read.js';

/** The entries of `ksi_workspaces`, one for each root in which tasks have written. */

const STREAM = `KV_${BUCKET.workspaces}`;
const NOBODY: WorkspacePlaces = { v: FORMAT_VERSION, writers: [], waiting: [] };

interface KeptPlaces {
  readonly places: WorkspacePlaces;
  readonly revision: number;
}

/** Who writes below a root, and who waits, from the leader. @throws {BrokerError} */
export async function readPlaces(broker: Broker, root: string): Promise<KeptPlaces> {
  const subject = SUBJECT.places(root);
  const { data, revision } = await readEntry(broker, STREAM, subject);
  return { places: data === undefined ? NOBODY : recordIn(WorkspacePlaces, data, subject), revision };
}

/** @returns undefined: somebody else was first. @throws {BrokerError} */
export const writePlaces = (broker: Broker, root: string, record: WorkspacePlaces, expected: number) =>
  putEntry(broker, SUBJECT.places(root), { schema: WorkspacePlaces, record }, expected);

/** The roots that have an entry. @throws {BrokerError} */
export async function rootsWithPlaces(broker: Broker): Promise<string[]> {
  const subjects = await subjectsOf(broker, STREAM, SUBJECT.places('*'));
  return subjects.map((subject) => subject.slice(subject.lastIndexOf('.') + 1));
}

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
