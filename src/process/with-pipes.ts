import type { ChildProcess } from 'node:child_process';

/**
 * Starts a child process and checks that it has its pipes.
 * @throws EMFILE if no descriptor is left. `spawn` itself returns a process without pipes then, and reports the error later. Near the limit,
 * `spawn` fails with EINVAL instead.
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
  Object.assign(new Error('no process can be started', { cause }), { code: 'EMFILE' });
