import { fstatSync } from 'node:fs';

/** If stdin is a pipe, its writer is our supervisor. Stops this process when the supervisor ends. */
export function followSupervisor(stop: () => void): void {
  const stdin = fstatSync(0);
  if (!stdin.isFIFO() && !stdin.isSocket()) return;
  process.stdin.on('end', stop).on('error', stop).resume();
  process.stdin.unref();
}
