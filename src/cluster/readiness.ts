import { connect } from 'node:net';
import { relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, request } from 'undici';

/** Nothing tells when a server begins to be ready, so it is asked. */
const ASK_EVERY_MS = 100;
const ANSWER_WITHIN_MS = 2_000;
/** It is asked on this machine, for no secret and with none: a certificate for another name is no reason to distrust it. */
const ASKER = new Agent({ connect: { rejectUnauthorized: false } });

/**
 * Resolves when `url` answers 200.
 * @returns on abort, what it said last: the reason to show.
 */
export async function untilReady(url: string, signal: AbortSignal): Promise<{ ready: boolean; said: string }> {
  let said = 'it was never asked';
  while (!signal.aborted) {
    try {
      const answer = await request(url, {
        headersTimeout: ANSWER_WITHIN_MS,
        bodyTimeout: ANSWER_WITHIN_MS,
        // A connection each: one kept open would hold up the server's end.
        reset: true,
        dispatcher: ASKER,
        signal,
      });
      const body = await answer.body.text();
      if (answer.statusCode === 200) return { ready: true, said: body };
      said = `${answer.statusCode} ${body.slice(0, 500)}`.trim();
    } catch (error) {
      if (signal.aborted) break;
      said = (error as Error).message;
    }
    await sleep(ASK_EVERY_MS, undefined, { signal }).catch(() => undefined);
  }
  return { ready: false, said };
}

/** Resolves when a process listens on a Unix socket. @returns false on abort. */
export async function untilListening(path: string, signal: AbortSignal): Promise<boolean> {
  while (!signal.aborted) {
    const listening = await new Promise<boolean>((resolve) => {
      // The system takes short paths only.
      const short = relative(process.cwd(), path);
      const socket = connect(short.length < path.length ? short : path, () => resolve(true));
      socket.once('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
    if (listening) return true;
    await sleep(ASK_EVERY_MS, undefined, { signal }).catch(() => undefined);
  }
  return false;
}
