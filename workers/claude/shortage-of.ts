/** System errors for missing resources of the host, with the resource. Tasks do not cause them. */
const SHORT_OF: Readonly<Record<string, string>> = {
  EMFILE: 'open files of one process (ulimit -n)',
  ENFILE: 'open files of the whole host (sysctl fs.file-max)',
  EAGAIN: 'processes and threads of the user (ulimit -u, pids.max)',
  // Node could not start a thread.
  ERR_WORKER_INIT_FAILED: 'threads of the user, or memory (ulimit -u, pids.max)',
  ENOMEM: 'memory',
  ENOSPC: 'disk space, or user namespaces (sysctl user.max_user_namespaces)',
  EDQUOT: 'disk quota',
};

/** @returns the resource that the host is short of. Undefined: the error has another cause. */
export function shortageOf(error: unknown): string | undefined {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    const { code } = at as NodeJS.ErrnoException;
    const short = code === undefined ? undefined : SHORT_OF[code];
    if (short !== undefined) return `${short}: ${at.message}`;
  }
  return undefined;
}
