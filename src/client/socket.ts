import type { Problem } from '../../contracts/wire/problem.js';
import type { ClientFrame, ServerFrame } from '../../contracts/api/ws.js';
import { onAbort } from '../abort.js';
import { isPassing, pause, pauseBefore } from './backoff.js';
import { KsiError, KsiUnreachableError } from './errors.js';
import type { EventMessage } from './event-message.js';
import { MessageQueue } from './message-queue.js';
import type { Platform } from './platform/platform.js';
import { defined } from '../defined.js';

type Received = EventMessage | ServerFrame;

interface SocketOptions {
  readonly platform: Platform;
  readonly url: string;
  readonly token: string;
  /** Lets one socket in. */
  readonly ticket: () => Promise<string>;
  readonly subjects: readonly string[];
  readonly since: string | undefined;
  readonly signal: AbortSignal;
  readonly onRetry: ((error: Error) => void) | undefined;
}

/** A pattern that nothing matches: what is wanted is asked for by a frame, whose answer tells where it begins. */
const NOTHING = 'ksi.live.none';
const SUBSCRIPTION = '1';
/** Often enough that a connection silent for longer is dead, whatever TCP believes. */
const PING_MS = 25_000;
const SILENCE_MS = 75_000;

/** Messages of a WebSocket that is opened again, from the last cursor, when it breaks. Ends when `signal` aborts. */
export async function* followSocket(options: SocketOptions): AsyncGenerator<EventMessage> {
  const { signal } = options;
  let { since } = options;
  let connected = false;
  for (let broken = 0; !signal.aborted; broken++) {
    try {
      for await (const message of connection({ ...options, since })) {
        broken = 0;
        connected = true;
        if ('cursor' in message) since = message.cursor;
        else if ('op' in message && message.op === 'error') throw refusalOf(message);
        // A bare sequence is a cursor too: one who has seen no event yet resumes where the first connection began.
        else if ('op' in message && message.op === 'subscribed') since ??= String(message.seq);
        if (!('op' in message) || message.op === 'gap') yield message;
      }
    } catch (error) {
      if (signal.aborted) return;
      const passing = error instanceof KsiError ? isPassing(error) : error instanceof KsiUnreachableError;
      // The first connection must succeed; later ones are worth waiting for.
      if (!passing || !connected) throw error;
      options.onRetry?.(error as Error);
    }
    await pause(pauseBefore(broken), signal).catch(() => undefined);
  }
}

/** One connection, to its end. @throws {KsiError} that KSI refused it. @throws {KsiUnreachableError} */
async function* connection(options: Omit<SocketOptions, 'onRetry'>): AsyncGenerator<Received> {
  const { platform, url, token, subjects, since, signal } = options;
  const address = new URL(`${url.replace(/^http/, 'ws')}/events`);
  address.searchParams.set('subject', NOTHING);
  if (platform.needsTickets) address.searchParams.set('ticket', await options.ticket());
  if (signal.aborted) return;
  let heard = performance.now();
  const queue = new MessageQueue<Received>({ full: () => socket.pause(), emptied: () => socket.resume() });
  const socket = platform.openSocket(address.href, token, {
    opened: () => socket.send(JSON.stringify(subscribe(subjects, since))),
    alive: () => (heard = performance.now()),
    message: (text) => {
      heard = performance.now();
      if (text !== 'pong') queue.push(JSON.parse(text) as Received);
    },
    refused: (status, body) => queue.end(refused(status, body)),
    closed: (error) => queue.end(error === undefined ? undefined : new KsiUnreachableError(url, error)),
  });
  const pinging = setInterval(() => {
    if (performance.now() - heard > SILENCE_MS) socket.end();
    else socket.send('ping');
  }, PING_MS);
  const forget = onAbort(signal, () => socket.end());
  try {
    yield* queue.messages();
  } finally {
    clearInterval(pinging);
    forget();
    socket.end();
  }
}

const subscribe = (subjects: readonly string[], since: string | undefined): ClientFrame =>
  defined({
    op: 'subscribe',
    id: SUBSCRIPTION,
    subjects: [...subjects],
    since,
  });

/** What an API says that does not say the status, too. */
const INVALID = 400;

const refusalOf = ({ code, message, status = INVALID }: Extract<ServerFrame, { op: 'error' }>): KsiError =>
  new KsiError(status, { type: '', title: code, status, code, detail: message });

function refused(status: number, body: string): KsiError {
  try {
    return new KsiError(status, JSON.parse(body) as Problem);
  } catch {
    return new KsiError(status, undefined); // Not our own answer: a proxy's, perhaps.
  }
}
