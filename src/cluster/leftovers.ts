import { endStranger } from '../process/end.js';
import { folderId } from '../process/folder-id.js';
import { identify, isAlive, type ProcessIdentity } from '../process/identity.js';
import { environmentOf, processesTagged } from '../process/tagged-processes.js';
import { readJson, writeJson } from './endpoints.js';
import type { ClusterPaths } from './paths.js';

/** A process of a cluster, as recorded in `processes.json`. */
export interface RecordedProcess extends ProcessIdentity {
  readonly name: string;
}

/** A copy of the cluster's folder has the same file, and another id. */
interface Recorded {
  readonly folder: string;
  readonly processes: readonly RecordedProcess[];
}

/** How long a process without a supervisor may take to end. Its pipe has closed, so it is ending already, or cannot. */
const GRACE_MS = 10_000;
/** The brokers last: the others give their work back to them. */
const ORDER = [/^(?!nats-)/, /^nats-/] as const;

/** What every process of the cluster has in its environment: which folder it belongs to, and its name. */
export const membership = (folder: string, name: string): Record<string, string> => ({
  KSI_CLUSTER: folder,
  KSI_PROCESS: name,
});

/** Records what runs, for systems that do not show the environment of a process. */
export const recordProcesses = (paths: ClusterPaths, processes: readonly RecordedProcess[]): void =>
  writeJson(paths.processes, { folder: folderId(paths.dir), processes } satisfies Recorded);

/**
 * The processes of the folder's cluster that still run. On Linux the processes themselves say so, which holds even if the supervisor was
 * killed before it could record a child; elsewhere the record does.
 */
export async function leftovers(paths: ClusterPaths): Promise<RecordedProcess[]> {
  const folder = existingId(paths.dir);
  if (folder === undefined) return [];
  if (process.platform === 'linux') return processesTagged(`KSI_CLUSTER=${folder}`).flatMap(recordOf);
  const recorded = (await readJson(paths.processes)) as Recorded | undefined;
  return recorded?.folder === folder ? recorded.processes.filter(isAlive) : [];
}

function existingId(dir: string): string | undefined {
  try {
    return folderId(dir);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function recordOf(pid: number): RecordedProcess[] {
  const identity = identify(pid);
  if (identity === undefined || pid === process.pid) return [];
  const name = [...(environmentOf(pid) ?? [])].find((entry) => entry.startsWith('KSI_PROCESS='));
  return [{ ...identity, name: name?.slice('KSI_PROCESS='.length) ?? 'a process' }];
}

/** Ends what a supervisor that was killed has left. @returns their names. */
export async function endLeftovers(paths: ClusterPaths, progress: (text: string) => void): Promise<string[]> {
  const left = await leftovers(paths);
  for (const names of ORDER) {
    const ending = left.filter(({ name }) => names.test(name));
    for (const { name, pid } of ending) progress(`ending ${name} (${pid}), left by a supervisor that is gone`);
    await Promise.all(ending.map((process) => endStranger(process, GRACE_MS)));
  }
  return left.map(({ name }) => name);
}
