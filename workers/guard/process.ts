import { createInterface } from 'node:readline';
import type { GuardMessage } from './guard.js';
import { reap } from './reap.js';

/**
 * `main.js NAME=value`: the marker in the environment of everything that the worker starts. Stdin tells which process groups there are. When stdin
 * ends, the worker is gone, and the guard ends what the worker has left.
 */
const [, , marker] = process.argv;
if (marker === undefined) throw new Error('The guard needs a marker: NAME=value');
const groups = new Set<number>();
const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => {
  const message = JSON.parse(line) as GuardMessage;
  if ('begin' in message) groups.add(message.begin);
  else if (groups.delete(message.end)) void reap({ groups: [], marker: message.marker });
});
lines.once('close', () => void reap({ groups: [...groups], marker }));
