import type { ChildProcess } from 'node:child_process';

/**
 * Starts a child process and checks that it has its pipes.
 * @throws EMFILE if no file descriptor is left. In this case `spawn` returns a process without pipes and reports the error later, or fails with
 * EINVAL.
 */
export function withPipes<C extends ChildProcess>(spawned: () => C): C {
  let child: C;
  try {
    child = spawned();
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException;
    throw code === 'EINVAL' && syscall === 'spawn' ? tooManyOpen(error) : error;
  }
  if ((child.stdin as C['stdin'] | undefined) !== undefined) return child;
  // Without a listener, the error would end our process.
  child.once('error', () => undefined);
  throw tooManyOpen();
}

const tooManyOpen = (cause?: unknown): Error =>
  Object.assign(new Error('cannot start a process: too many open files', { cause }), { code: 'EMFILE' });
