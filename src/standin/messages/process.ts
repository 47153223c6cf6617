import { fstatSync } from 'node:fs';
import { startMessagesStandin } from './server.js';

/** `node main.js`: the stand-in as a process, for `make demo`. Prints `{"url": …}` once it listens. */

const standin = await startMessagesStandin({
  port: Number(process.env['PORT'] ?? 0),
  deltaMs: Number(process.env['DELTA_MS'] ?? 40),
  keep: 0,
});

const stop = (): void => void standin.stop().then(() => process.exit(0));
for (const signal of ['SIGTERM', 'SIGINT', 'SIGQUIT'] as const) process.once(signal, stop);
// A parent that dies can't send a signal, but its end of the pipe closes.
const stdin = fstatSync(0);
if (stdin.isFIFO() || stdin.isSocket()) process.stdin.once('end', stop).resume();

// Last, as who reads it may send a signal at once.
process.stdout.write(`${JSON.stringify({ url: standin.url })}\n`);
