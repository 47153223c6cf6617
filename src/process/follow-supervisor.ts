import { fstatSync } from 'node:fs';

/** Whoever started us with a pipe holds the other end of it: its end is ours. */
export function followSupervisor(stop: () => void): void {
  const stdin = fstatSync(0);
  if (!stdin.isFIFO() && !stdin.isSocket()) return;
  process.stdin.on('end', stop).on('error', stop).resume();
  process.stdin.unref();
}
