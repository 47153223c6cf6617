import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { isRecord, parseText } from '../json.js';
import { shortSocketPath } from '../process/socket-path.js';

/** A server does not announce that it is ready, so it is polled. */
const POLL_MS = 100;
const ANSWER_TIMEOUT_MS = 2_000;
/** The request stays on this machine and carries no secret, so the name in the certificate does not matter. */
const AGENT = new Agent({ connect: { rejectUnauthorized: false } });

interface Readiness {
  readonly ready: boolean;
  /** It runs, and takes tasks again when there is room. */
  readonly full?: true;
  /** The last answer or error. */
  readonly said: string;
}

/** Polls `url` until it answers 200 or that it only lacks room, or `signal` aborts. */
export async function untilReady(url: string, signal: AbortSignal): Promise<Readiness> {
  let said = 'no request was sent';
  while (!signal.aborted) {
    try {
      const answer = await request(url, {
        headersTimeout: ANSWER_TIMEOUT_MS,
        bodyTimeout: ANSWER_TIMEOUT_MS,
        // An open connection would delay the server's stop.
        reset: true,
        dispatcher: AGENT,
        signal,
      });
      const body = await answer.body.text();
      if (answer.statusCode === 200) return { ready: true, said: body };
      said = `${answer.statusCode} ${body.slice(0, 500)}`.trim();
      const parsed = parseText(body);
      // What fills it may be the tasks that only a running cluster takes off the queue.
      if (isRecord(parsed) && parsed['full'] === true) return { ready: true, full: true, said };
    } catch (error) {
      if (signal.aborted) break;
      said = (error as Error).message;
    }
    await sleep(POLL_MS, undefined, { signal }).catch(() => undefined);
  }
  return { ready: false, said };
}

/** Resolves when a process listens on a Unix socket. @returns false on abort */
export async function untilListening(path: string, signal: AbortSignal): Promise<boolean> {
  while (!signal.aborted) {
    const listening = await new Promise<boolean>((resolve) => {
      const socket = connect(shortSocketPath(path) ?? path, () => resolve(true));
      socket.once('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
    if (listening) return true;
    await sleep(POLL_MS, undefined, { signal }).catch(() => undefined);
  }
  return false;
}
