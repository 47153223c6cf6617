import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { takesWrites } from '../process/disk-room.js';

/** A nats-server to look after. */
export interface WatchedServer {
  readonly name: string;
  /** Of its HTTP monitoring. */
  readonly monitor: string;
  readonly store: string;
  /** Ends the process; the supervisor starts it again. */
  restart(): void;
}

const LOOK_MS = 2_000;
/** What `/healthz` says of a stream that took no write, and of JetStream when it was turned off for that. */
const STOPPED_WRITING = /write error|jetstream.*(not enabled|disabled)/i;

/**
 * A stream of nats-server to which a write has failed takes no other until the server is started again, however much room there is. This
 * restarts such a server once its disk has room. Resolves when `signal` aborts.
 */
export async function watchBroker(servers: readonly WatchedServer[], log: Logger, signal: AbortSignal): Promise<void> {
  await Promise.all(servers.map((server) => watchServer(server, log, signal)));
}

async function watchServer(server: WatchedServer, log: Logger, signal: AbortSignal): Promise<void> {
  for (let told = false; !signal.aborted;) {
    await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    const error = await stoppedWriting(server.monitor, signal);
    if (error === undefined) {
      told = false;
      continue;
    }
    const context = { process: server.name, error };
    if (takesWrites(server.store)) {
      log.warn(context, 'the broker has stopped writing, and there is room on its disk: restarting it');
      server.restart();
    } else if (!told) {
      log.error(context, 'the broker has stopped writing; it is restarted when there is room on its disk');
      told = true;
    }
  }
}

/** @returns undefined when the server writes, and when it is gone or starting: its own supervision sees to that. */
async function stoppedWriting(monitor: string, signal: AbortSignal): Promise<string | undefined> {
  try {
    const timeout = AbortSignal.any([signal, AbortSignal.timeout(LOOK_MS)]);
    const response = await fetch(`${monitor}/healthz`, { signal: timeout });
    const said = await response.text();
    return response.status !== 200 && STOPPED_WRITING.test(said) ? said : undefined;
  } catch {
    return undefined;
  }
}
