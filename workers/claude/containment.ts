import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CONTAINMENTS } from '../../contracts/tasks/workers.js';
import { openFolder } from './open-folder.js';
import { sandboxArguments, type Place } from './sandbox.js';

/** A program and its arguments, for `spawn`. */
export interface Invocation {
  readonly command: string;
  readonly args: readonly string[];
}

/**
 * How an attempt's processes are kept from outliving it, and from reaching other files.
 * - `sandbox`: bubblewrap. Each run has a PID and a mount namespace: when the run or the worker ends in any way, the kernel kills everything in
 *   it, and nothing in it sees KSI's own files (sandbox.ts).
 * - `pid_namespace`: the same without the mounts. Claude's processes can read what the worker's user can read.
 * - `process_group`: the run's process group is killed at its end. The guard (guard.ts) handles processes that left the group, and killed workers.
 */
export interface Containment {
  readonly kind: (typeof CONTAINMENTS)[number];
  wrap(invocation: Invocation, place: Place): Invocation;
}

export const GROUP_ONLY: Containment = { kind: 'process_group', wrap: (invocation) => invocation };

/** SIGTERM to the run's process group is for Claude, which ends in order. bubblewrap would end everything in it at once. */
const [IGNORE_SIGTERM, DEFAULT_SIGTERM] = ['env --ignore-signal=TERM,INT', 'env --default-signal=TERM,INT'].map(
  (line) => line.split(' '),
) as [string[], string[]];

const inSandbox = (bubblewrap: string): Containment => ({
  kind: 'sandbox',
  wrap: ({ command, args }, place) =>
    invocation([...IGNORE_SIGTERM, bubblewrap, ...sandboxArguments(place), '--', ...DEFAULT_SIGTERM, command, ...args]),
});

/** A shell stays the namespace's first process: it reaps orphans, and its end, which is the run's, takes the rest along. */
const FIRST_PROCESS = ['sh', '-c', '"$@"; exit $?', 'sh'];

const inPidNamespace = (options: readonly string[]): Containment => ({
  kind: 'pid_namespace',
  wrap: ({ command, args }) =>
    invocation([
      'setpriv',
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
    ]),
});

function invocation([command = '', ...args]: readonly string[]): Invocation {
  return { command, args };
}

const PROBE: Invocation = { command: 'sh', args: ['-c', 'exit 42'] };
const PROBE_EXIT = 42;
const PROBE_TIMEOUT_MS = 5_000;

/**
 * Probes for the strongest containment that this host allows.
 * @param bubblewrap the executable. Default: `bwrap` on PATH.
 */
export async function findContainment(bubblewrap = 'bwrap'): Promise<Containment> {
  const candidates = [
    inSandbox(bubblewrap),
    // With the right to make namespaces; without it, by a user namespace where the kernel allows those to everyone.
    inPidNamespace([]),
    inPidNamespace(['--user', '--map-current-user']),
  ];
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'ksi-probe-')));
  try {
    for (const candidate of candidates) if (await works(candidate, folder)) return candidate;
    return GROUP_ONLY;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function works(candidate: Containment, folder: string): Promise<boolean> {
  const { command, args } = candidate.wrap(PROBE, { ksiDir: folder, cwd: folder, visible: [] });
  const workspace = openFolder(folder);
  try {
    const stdio = ['ignore', 'ignore', 'ignore', workspace.fd] as const;
    const child = spawn(command, args, { stdio: [...stdio], timeout: PROBE_TIMEOUT_MS, killSignal: 'SIGKILL' });
    // Only a working containment passes the probe's exit code on. Any other end (no such program, not permitted) is a failure.
    const [code] = (await once(child, 'exit')) as [number | null];
    return code === PROBE_EXIT;
  } catch {
    return false;
  } finally {
    workspace.close();
  }
}
