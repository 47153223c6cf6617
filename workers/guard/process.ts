import { createInterface } from 'node:readline';
import type { GuardMessage } from './guard.js';
import { reap } from './reap.js';

/**
 * The guard process, `main.js NAME=value`, with the marker of the worker's processes. It reads the process groups from stdin. The end of stdin means
 * that the worker has ended, so the guard ends the processes that it left.
 */
const [, , marker] = process.argv;
if (marker === undefined) throw new Error('the guard needs a marker as its argument: NAME=value');
const groups = new Set<number>();
const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => {
  const message = JSON.parse(line) as GuardMessage;
  if ('begin' in message) groups.add(message.begin);
  else if (groups.delete(message.end)) void reap({ groups: [], marker: message.marker });
});
lines.once('close', () => void reap({ groups: [...groups], marker }));
