import { endStranger } from '../process/end.js';
import { isAlive, type ProcessIdentity } from '../process/identity.js';
import { readJson, writeJson } from './endpoints.js';
import type { ClusterPaths } from './paths.js';
import type { Role } from './plan.js';

/** A process of a cluster, as recorded in `processes.json`. */
export interface RecordedProcess extends ProcessIdentity {
  readonly name: string;
  readonly role: Role;
}

/** What a process may take to end that nobody supervises any more. Its pipe has closed, so it is ending already, or can't. */
const GRACE_MS = 10_000;
/** The broker last: the others give their work back to it. */
const ORDER: readonly Role[] = ['worker', 'api', 'standin', 'broker'];

/** Records what runs. */
export const recordProcesses = (paths: ClusterPaths, processes: readonly RecordedProcess[]): void =>
  writeJson(paths.processes, processes);

/** The recorded processes that still run. */
export async function leftovers(paths: ClusterPaths): Promise<RecordedProcess[]> {
  const recorded = (await readJson(paths.processes)) as RecordedProcess[] | undefined;
  return (recorded ?? []).filter(isAlive);
}

/** Ends what a supervisor that was killed has left. @returns their names. */
export async function endLeftovers(paths: ClusterPaths, progress: (text: string) => void): Promise<string[]> {
  const left = await leftovers(paths);
  for (const role of ORDER) {
    const ending = left.filter((process) => process.role === role);
    for (const { name, pid } of ending) progress(`ending ${name} (${pid}), left by a supervisor that is gone`);
    await Promise.all(ending.map((process) => endStranger(process, GRACE_MS)));
  }
  return left.map(({ name }) => name);
}
