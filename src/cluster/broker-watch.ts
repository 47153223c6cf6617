import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { takesWrites } from '../process/disk-space.js';

export interface WatchedServer {
  readonly name: string;
  /** Base URL of its HTTP monitoring. */
  readonly monitor: string;
  /** Its store folder. */
  readonly store: string;
  /** Ends the process. The supervisor starts it again. */
  restart(): void;
}

const CHECK_MS = 2_000;
/** `/healthz` reports a stream whose write failed, or that nats-server disabled JetStream because of one. */
const WRITE_FAILED = /write error|jetstream.*(not enabled|disabled)/i;

/**
 * Restarts a nats-server after a failed write, once its disk has space. Until a restart, nats-server refuses every further write to the
 * stream, even when there is space again. Resolves when `signal` aborts.
 */
export async function watchBroker(servers: readonly WatchedServer[], log: Logger, signal: AbortSignal): Promise<void> {
  await Promise.all(servers.map((server) => watchServer(server, log, signal)));
}

async function watchServer(server: WatchedServer, log: Logger, signal: AbortSignal): Promise<void> {
  for (let logged = false; !signal.aborted;) {
    await sleep(CHECK_MS, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    const error = await writeError(server.monitor, signal);
    if (error === undefined) {
      logged = false;
      continue;
    }
    const context = { process: server.name, error };
    if (takesWrites(server.store)) {
      log.warn(context, 'the broker stopped writing and its disk has space; restarting it');
      server.restart();
    } else if (!logged) {
      log.error(
        context,
        'the broker stopped writing because its disk is full; free some space, and KSI restarts the broker',
      );
      logged = true;
    }
  }
}

/** @returns undefined when the server accepts writes, and when it does not answer: the supervisor restarts a server that ended */
async function writeError(monitor: string, signal: AbortSignal): Promise<string | undefined> {
  try {
    const timeout = AbortSignal.any([signal, AbortSignal.timeout(CHECK_MS)]);
    const response = await fetch(`${monitor}/healthz`, { signal: timeout });
    const text = await response.text();
    return response.status !== 200 && WRITE_FAILED.test(text) ? text : undefined;
  } catch {
    return undefined;
  }
}
