import { followSupervisor } from '../../process/follow-supervisor.js';
import { startMessagesStandin } from './server.js';

/** The stand-in as a process, for `make demo`. Prints `{"url": …}` when it listens. */

const standin = await startMessagesStandin({
  port: Number(process.env['PORT'] ?? 0),
  deltaMs: Number(process.env['DELTA_MS'] ?? 40),
  keep: 0,
});

const stop = (): void => void standin.stop().then(() => process.exit(0));
for (const signal of ['SIGTERM', 'SIGINT', 'SIGQUIT'] as const) process.once(signal, stop);
followSupervisor(stop);

// This comes last, because the reader may send a signal at once.
process.stdout.write(`${JSON.stringify({ url: standin.url })}\n`);
