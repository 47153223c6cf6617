import { WebSocket, type RawData } from 'ws';
import type { EventEnvelope, SpawnDelta } from '../../contracts/events.js';
import type { Problem } from '../../contracts/http.js';
import type { ServerFrame } from '../../contracts/ws.js';
import { pause, pauseBefore } from './backoff.js';
import { KsiError, KsiUnreachableError } from './errors.js';

/** What comes over the events' WebSocket: an event, a delta, or that retention has taken some. */
export type SocketMessage = EventEnvelope | (SpawnDelta & { subject: string }) | Extract<ServerFrame, { op: 'gap' }>;

interface SocketOptions {
  readonly url: string;
  readonly token: string;
  readonly subjects: readonly string[];
  readonly since: string | undefined;
  readonly signal: AbortSignal | undefined;
}

/** Messages of a WebSocket that is opened again, from the last cursor, when it breaks. Ends when `signal` aborts. */
export async function* followSocket(options: SocketOptions): AsyncGenerator<SocketMessage> {
  let { since } = options;
  for (let broken = 0; ; broken++) {
    try {
      for await (const message of connection({ ...options, since })) {
        broken = 0;
        if ('cursor' in message) since = message.cursor;
        yield message;
      }
    } catch (error) {
      if (options.signal?.aborted === true) return;
      if (error instanceof KsiError) throw error;
      // The first connection must succeed; later ones are worth waiting for.
      if (error instanceof KsiUnreachableError && broken === 0 && since === options.since) throw error;
    }
    if (options.signal?.aborted === true) return;
    await pause(pauseBefore(broken), options.signal).catch(() => undefined);
  }
}

/** One connection, to its end. @throws {KsiError} that KSI refused it. @throws {KsiUnreachableError} */
async function* connection({ url, token, subjects, since, signal }: SocketOptions): AsyncGenerator<SocketMessage> {
  const [first, ...others] = subjects;
  const address = new URL(`${url.replace(/^http/, 'ws')}/events`);
  if (first !== undefined) address.searchParams.set('subject', first);
  if (since !== undefined) address.searchParams.set('since', since);
  const socket = new WebSocket(address, { headers: { authorization: `Bearer ${token}` } });
  const queue = new MessageQueue();
  socket.on('open', () => {
    for (const [index, subject] of others.entries()) {
      const cursor = since === undefined || subject.startsWith('ksi.live.') ? {} : { since };
      socket.send(JSON.stringify({ op: 'subscribe', id: String(index + 1), subjects: [subject], ...cursor }));
    }
  });
  socket.on('message', (data: RawData) =>
    queue.push(JSON.parse((data as Buffer).toString('utf8')) as SocketMessage | ServerFrame),
  );
  socket.on('unexpected-response', (_request, answer) => {
    const chunks: Buffer[] = [];
    answer.on('data', (chunk: Buffer) => chunks.push(chunk));
    answer.on('end', () => queue.end(refusal(answer.statusCode ?? 0, Buffer.concat(chunks).toString('utf8'))));
  });
  socket.on('error', (error) => queue.end(new KsiUnreachableError(url, error)));
  socket.on('close', () => queue.end());
  const abort = (): void => socket.terminate();
  signal?.addEventListener('abort', abort, { once: true });
  try {
    signal?.throwIfAborted();
    yield* queue.messages();
  } finally {
    signal?.removeEventListener('abort', abort);
    socket.terminate();
  }
}

function refusal(status: number, body: string): KsiError {
  try {
    return new KsiError(status, JSON.parse(body) as Problem);
  } catch {
    return new KsiError(status, undefined); // Not our own answer: a proxy's, perhaps.
  }
}

/** Between a socket, which pushes, and an iterator, which pulls. */
class MessageQueue {
  #messages: SocketMessage[] = [];
  #ended: { error: Error | undefined } | undefined;
  #wake: (() => void) | undefined;

  push(message: SocketMessage | ServerFrame): void {
    if ('op' in message && message.op === 'error')
      return this.end(
        new KsiError(400, { type: '', title: '', status: 400, code: message.code, detail: message.message }),
      );
    if ('op' in message && message.op !== 'gap') return;
    this.#messages.push(message);
    this.#wake?.();
  }

  end(error?: Error): void {
    this.#ended ??= { error };
    this.#wake?.();
  }

  async *messages(): AsyncGenerator<SocketMessage> {
    for (;;) {
      const messages = this.#messages;
      this.#messages = [];
      yield* messages;
      if (this.#messages.length > 0) continue;
      if (this.#ended !== undefined) {
        if (this.#ended.error !== undefined) throw this.#ended.error;
        return;
      }
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}
