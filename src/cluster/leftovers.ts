import { terminateProcess } from '../process/terminate.js';
import { folderId } from '../process/folder-id.js';
import { identify, isAlive, type ProcessIdentity } from '../process/identity.js';
import { environmentOf, processesTagged } from '../process/tagged-processes.js';
import { readJson, writeJson } from './endpoints.js';
import type { ClusterPaths } from './paths.js';
import { ifExistsSync } from '../if-exists.js';

/** A process of a cluster, as recorded in `processes.json`. */
export interface RecordedProcess extends ProcessIdentity {
  readonly name: string;
}

interface Recorded {
  /** The folder's id. A copied folder has the same file, but another id. */
  readonly folder: string;
  readonly processes: readonly RecordedProcess[];
}

/** Short, because a process starts to end when its supervisor's pipe closes. One that still runs is probably stuck. */
const GRACE_MS = 10_000;
/** Brokers end last: the other processes return their work to them. */
const ORDER = [/^(?!nats-)/, /^nats-/] as const;

/** Environment variables that mark a process as part of the cluster. @param folder the folder's id */
export const membership = (folder: string, name: string): Record<string, string> => ({
  KSI_CLUSTER: folder,
  KSI_PROCESS: name,
});

/** Records the running processes, for systems that do not show another process's environment. */
export const recordProcesses = (paths: ClusterPaths, processes: readonly RecordedProcess[]): void =>
  writeJson(paths.processes, { folder: folderId(paths.dir), processes } satisfies Recorded);

/**
 * The running processes of a folder's cluster. On Linux their environments identify them, so none is missed even if the supervisor was killed
 * before it recorded a child. Other systems use the record.
 */
export async function leftovers(paths: ClusterPaths): Promise<RecordedProcess[]> {
  const folder = ifExistsSync(() => folderId(paths.dir));
  if (folder === undefined) return [];
  if (process.platform === 'linux') return processesTagged(`KSI_CLUSTER=${folder}`).flatMap(recordOf);
  const recorded = (await readJson(paths.processes)) as Recorded | undefined;
  return recorded?.folder === folder ? recorded.processes.filter(isAlive) : [];
}

function recordOf(pid: number): RecordedProcess[] {
  const identity = identify(pid);
  if (identity === undefined || pid === process.pid) return [];
  const name = [...(environmentOf(pid) ?? [])].find((entry) => entry.startsWith('KSI_PROCESS='));
  return [{ ...identity, name: name?.slice('KSI_PROCESS='.length) ?? 'a process' }];
}

/** Ends processes that a killed supervisor left. */
export async function endLeftovers(left: readonly RecordedProcess[], progress: (text: string) => void): Promise<void> {
  for (const names of ORDER) {
    const ending = left.filter(({ name }) => names.test(name));
    for (const { name, pid } of ending) progress(`ending ${name} (${pid}), whose supervisor is gone`);
    await Promise.all(ending.map((process) => terminateProcess(process, GRACE_MS)));
  }
}
