import { createInterface } from 'node:readline';
import type { GuardMessage } from './guard.js';
import { reap } from './reap.js';

/**
 * The guard process of a worker: `main.js NAME=value`, the marker in the environment of all that the worker starts.
 * Hears on stdin which process groups there are; when that ends, the worker is gone, however it went, and so is all of it.
 */
const groups = new Set<number>();
const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => {
  const message = JSON.parse(line) as GuardMessage;
  if ('begin' in message) groups.add(message.begin);
  else if (groups.delete(message.end)) void reap({ groups: [], marker: message.marker });
});
lines.once('close', () => void reap({ groups: [...groups], marker: process.argv[2] ?? '' }));
// It goes by the end of the pipe only: a signal to everybody must not take it before the worker.
for (const name of ['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const)
  process.on(name, () => undefined);
