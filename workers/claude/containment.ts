import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** A program and its arguments, as `spawn` takes them. */
export interface Invocation {
  readonly command: string;
  readonly args: readonly string[];
}

/**
 * What makes sure that no process of an attempt outlives it.
 * - `pid_namespace`: each run is a PID namespace, tied to its worker by the parent-death signal: when the run or the
 *   worker ends in any way, the kernel kills all that is in it, what called `setsid` included.
 * - `process_group`: the run's process group is killed at its end. What left the group, or a worker killed
 *   outright, is the guard's job (guard.ts).
 */
export interface Containment {
  readonly kind: 'pid_namespace' | 'process_group';
  wrap(invocation: Invocation): Invocation;
}

export const GROUP_ONLY: Containment = { kind: 'process_group', wrap: (invocation) => invocation };

/** A shell stays the namespace's first process: it reaps orphans, and its end, which is the run's, takes the rest along. */
const FIRST_PROCESS = ['sh', '-c', '"$@"; exit $?', 'sh'];

const inNamespace = (options: readonly string[]): Containment => ({
  kind: 'pid_namespace',
  wrap: ({ command, args }) => ({
    command: 'setpriv',
    args: [
      '--pdeathsig',
      'KILL',
      'unshare',
      ...options,
      '--pid',
      '--fork',
      '--kill-child',
      '--mount-proc',
      '--',
      ...FIRST_PROCESS,
      command,
      ...args,
    ],
  }),
});

/** With the right to make namespaces, and without it by a user namespace where the kernel allows those to everyone. */
const CANDIDATES = [inNamespace([]), inNamespace(['--user', '--map-current-user'])];

const PROBE: Invocation = { command: 'sh', args: ['-c', 'exit 42'] };
const PROBE_EXIT = 42;
const PROBE_TIMEOUT_MS = 5_000;

/** Finds, by trying, the strongest containment that this host allows. */
export async function findContainment(): Promise<Containment> {
  for (const candidate of CANDIDATES) if (await works(candidate)) return candidate;
  return GROUP_ONLY;
}

async function works(candidate: Containment): Promise<boolean> {
  const { command, args } = candidate.wrap(PROBE);
  try {
    await promisify(execFile)(command, [...args], { timeout: PROBE_TIMEOUT_MS });
    return false;
  } catch (error) {
    // The probe's own exit code came through; anything else (no such program, not permitted) is a no.
    return (error as { code?: unknown }).code === PROBE_EXIT;
  }
}
