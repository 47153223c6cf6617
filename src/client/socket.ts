import { WebSocket, type RawData } from 'ws';
import { API_ERRORS } from '../../contracts/errors.js';
import type { Problem } from '../../contracts/http.js';
import type { ClientFrame, ServerFrame } from '../../contracts/ws.js';
import { pause, pauseBefore } from './backoff.js';
import { KsiError, KsiUnreachableError } from './errors.js';
import type { EventMessage } from './event-message.js';
import { MessageQueue } from './message-queue.js';

type Received = EventMessage | ServerFrame;

interface SocketOptions {
  readonly url: string;
  readonly token: string;
  readonly subjects: readonly string[];
  readonly since: string | undefined;
  readonly signal: AbortSignal | undefined;
  readonly onRetry: ((error: Error) => void) | undefined;
}

/** A pattern that nothing matches: what is wanted is asked for by a frame, whose answer tells where it begins. */
const NOTHING = 'ksi.live.none';
const SUBSCRIPTION = '1';
/** KSI pings every 30 s; a connection silent for longer is dead, whatever TCP believes. */
const SILENCE_MS = 75_000;

/** Messages of a WebSocket that is opened again, from the last cursor, when it breaks. Ends when `signal` aborts. */
export async function* followSocket(options: SocketOptions): AsyncGenerator<EventMessage> {
  let { since } = options;
  let connected = false;
  const stopped = (): boolean => options.signal?.aborted === true;
  for (let broken = 0; !stopped(); broken++) {
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
      if (stopped()) return;
      const passing = error instanceof KsiError ? error.status >= 500 : error instanceof KsiUnreachableError;
      // The first connection must succeed; later ones are worth waiting for.
      if (!passing || !connected) throw error;
      if (error instanceof Error) options.onRetry?.(error);
    }
    await pause(pauseBefore(broken), options.signal).catch(() => undefined);
  }
}

/** One connection, to its end. @throws {KsiError} that KSI refused it. @throws {KsiUnreachableError} */
async function* connection({
  url,
  token,
  subjects,
  since,
  signal,
}: Omit<SocketOptions, 'onRetry'>): AsyncGenerator<Received> {
  if (signal?.aborted === true) return;
  const address = new URL(`${url.replace(/^http/, 'ws')}/events`);
  address.searchParams.set('subject', NOTHING);
  const socket = new WebSocket(address, { headers: { authorization: `Bearer ${token}` } });
  const queue = new MessageQueue<Received>({
    full: () => socket.pause(),
    emptied: () => socket.resume(),
  });
  const silence = setTimeout(() => socket.terminate(), SILENCE_MS);
  socket.on('open', () => socket.send(JSON.stringify(subscribe(subjects, since))));
  socket.on('ping', () => silence.refresh());
  socket.on('message', (data: RawData) => {
    silence.refresh();
    queue.push(JSON.parse((data as Buffer).toString('utf8')) as Received);
  });
  socket.on('unexpected-response', (_request, answer) => {
    const chunks: Buffer[] = [];
    answer.on('data', (chunk: Buffer) => chunks.push(chunk));
    answer.on('error', (error) => queue.end(new KsiUnreachableError(url, error)));
    answer.on('end', () => queue.end(refused(answer.statusCode ?? 0, Buffer.concat(chunks).toString('utf8'))));
  });
  socket.on('error', (error) => queue.end(new KsiUnreachableError(url, error)));
  socket.on('close', () => queue.end());
  const abort = (): void => socket.terminate();
  signal?.addEventListener('abort', abort, { once: true });
  try {
    yield* queue.messages();
  } finally {
    clearTimeout(silence);
    signal?.removeEventListener('abort', abort);
    socket.terminate();
  }
}

const subscribe = (subjects: readonly string[], since: string | undefined): ClientFrame => ({
  op: 'subscribe',
  id: SUBSCRIPTION,
  subjects: [...subjects],
  ...(since === undefined ? {} : { since }),
});

function refusalOf({ code, message }: Extract<ServerFrame, { op: 'error' }>): KsiError {
  const known: Readonly<Record<string, { readonly status: number; readonly title: string }>> = API_ERRORS;
  const { status, title } = known[code] ?? { status: 400, title: code };
  return new KsiError(status, { type: '', title, status, code, detail: message });
}

function refused(status: number, body: string): KsiError {
  try {
    return new KsiError(status, JSON.parse(body) as Problem);
  } catch {
    return new KsiError(status, undefined); // Not our own answer: a proxy's, perhaps.
  }
}
