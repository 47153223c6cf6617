import type { ChildProcess } from 'node:child_process';

/**
 * A child process that has the pipes that it was started with, stdin among them.
 * @throws EMFILE; without a descriptor left, `spawn` gives back a process without any pipe, and tells only later why. Near the limit
 * the system calls a further descriptor for the child invalid.
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
  // Unheard, it would end the process.
  child.once('error', () => undefined);
  throw tooManyOpen();
}

const tooManyOpen = (cause?: unknown): Error =>
  Object.assign(new Error('no process can be started', { cause }), { code: 'EMFILE' });
