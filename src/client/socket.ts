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
  /** Requests a ticket, which authorizes one WebSocket. */
  readonly ticket: () => Promise<string>;
  readonly subjects: readonly string[];
  readonly since: string | undefined;
  readonly signal: AbortSignal;
  readonly onRetry: ((error: Error) => void) | undefined;
}

/** Matches no message. The client subscribes with a frame instead of the URL, because the answer to a frame has the start position. */
const NO_SUBJECT = 'ksi.live.none';
const SUBSCRIPTION = '1';
/** Each ping is answered, so a connection that is silent for longer than SILENCE_MS is dead, even if TCP has not noticed. */
const PING_MS = 25_000;
const SILENCE_MS = 75_000;

/** Yields the messages of a WebSocket. After a break, opens another one from the last cursor. Ends when `signal` aborts. */
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
        else if ('op' in message && message.op === 'error') throw errorOf(message);
        // A bare sequence is a cursor too. Without an event so far, a new connection resumes where the first one began.
        else if ('op' in message && message.op === 'subscribed') since ??= String(message.seq);
        if (!('op' in message) || message.op === 'gap') yield message;
      }
    } catch (error) {
      if (signal.aborted) return;
      // The first connection is not retried, so that a wrong URL or token fails at once.
      if (!isPassing(error) || !connected) throw error;
      options.onRetry?.(error);
    }
    await pause(pauseBefore(broken), signal).catch(() => undefined);
  }
}

/** Yields the messages of one connection. @throws {KsiError} if KSI refuses the connection. @throws {KsiUnreachableError} */
async function* connection(options: Omit<SocketOptions, 'onRetry'>): AsyncGenerator<Received> {
  const { platform, url, token, subjects, since, signal } = options;
  const address = new URL(`${url.replace(/^http/, 'ws')}/events`);
  address.searchParams.set('subject', NO_SUBJECT);
  if (platform.needsTickets) address.searchParams.set('ticket', await options.ticket());
  if (signal.aborted) return;
  let lastReceived = performance.now();
  const queue = new MessageQueue<Received>({ full: () => socket.pause(), emptied: () => socket.resume() });
  const socket = platform.openSocket(address.href, token, {
    opened: () => socket.send(JSON.stringify(subscribe(subjects, since))),
    alive: () => (lastReceived = performance.now()),
    message: (text) => {
      lastReceived = performance.now();
      if (text !== 'pong') queue.push(JSON.parse(text) as Received);
    },
    refused: (status, body) => queue.end(refused(status, body)),
    closed: (error) => queue.end(error === undefined ? undefined : new KsiUnreachableError(url, error)),
  });
  const pinging = setInterval(() => {
    if (performance.now() - lastReceived > SILENCE_MS) socket.end();
    else socket.send('ping');
  }, PING_MS);
  const unsubscribe = onAbort(signal, () => socket.end());
  try {
    yield* queue.messages();
  } finally {
    clearInterval(pinging);
    unsubscribe();
    socket.end();
  }
}

const subscribe = (subjects: readonly string[], since: string | undefined): ClientFrame =>
  defined({ op: 'subscribe', id: SUBSCRIPTION, subjects: [...subjects], since });

/** Older APIs send error frames without a status. */
const DEFAULT_STATUS = 400;

const errorOf = ({ code, message, status = DEFAULT_STATUS }: Extract<ServerFrame, { op: 'error' }>): KsiError =>
  new KsiError(status, { type: '', title: code, status, code, detail: message });

function refused(status: number, body: string): KsiError {
  try {
    return new KsiError(status, JSON.parse(body) as Problem);
  } catch {
    return new KsiError(status, undefined); // Probably the answer of a proxy.
  }
}
