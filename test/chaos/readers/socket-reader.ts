import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket, type RawData } from 'ws';
import type { EventEnvelope } from '../../../contracts/events/events.js';
import type { ServerFrame } from '../../../contracts/api/ws.js';
import type { Access } from '../client.js';
import type { Reader } from '../history.js';

export interface SocketReaderOptions {
  readonly name: string;
  readonly apis: readonly Access[];
  readonly random: () => number;
  readonly onEvent: (event: EventEnvelope) => void;
}

/** A connection is broken off by its reader after so long at the least and at the most. */
const MIN_MS = 1_000;
const MAX_MS = 8_000;
const MAX_PAUSE_MS = 500;

/**
 * Reads all events over WebSockets to any API, from the stream's beginning on, each connection from the last event seen.
 * Breaks off its connections at random moments, besides those that the faults break.
 */
export class SocketReader {
  readonly #options: SocketReaderOptions;
  readonly #stopping = new AbortController();
  readonly #seqs: number[] = [];
  readonly #complaints: string[] = [];
  #connections = 0;
  #cursor = '0';
  #lastSeq = 0;
  #running: Promise<void> | undefined;
  #waiting: { seq: number; resolve: () => void }[] = [];

  constructor(options: SocketReaderOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Resolves when the event `seq`, or a later one, was received. */
  until(seq: number): Promise<void> {
    if (this.#lastSeq >= seq) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ seq, resolve }));
  }

  /** Idempotent. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  record(): Reader {
    const { name } = this.#options;
    return { name, connections: this.#connections, seqs: this.#seqs, complaints: this.#complaints };
  }

  async #run(): Promise<void> {
    const { random, apis } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const api = apis[Math.floor(random() * apis.length)];
      if (api !== undefined) await this.#connection(api, MIN_MS + random() * (MAX_MS - MIN_MS));
      // An abort only ends the pause early.
      await sleep(random() * MAX_PAUSE_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  async #connection({ url, token }: Access, forMs: number): Promise<void> {
    const address = `${url.replace(/^http/, 'ws')}/events?since=${this.#cursor}`;
    const socket = new WebSocket(address, { headers: { authorization: `Bearer ${token}` } });
    const breakOff = (): void => socket.terminate();
    const timer = setTimeout(breakOff, forMs);
    const { signal } = this.#stopping;
    signal.addEventListener('abort', breakOff, { once: true });
    socket.on('open', () => this.#connections++);
    socket.on('message', (data: RawData) => {
      // What a connection that was broken off still delivers was not received.
      if (socket.readyState === WebSocket.OPEN) this.#receive((data as Buffer).toString('utf8'));
    });
    socket.on('error', () => undefined);
    socket.on('unexpected-response', (_request, answer) => {
      // 503 is the broker's absence, which is no fault of the cursor.
      if (answer.statusCode !== 503)
        this.#complaints.push(`cursor ${this.#cursor} was answered ${answer.statusCode ?? '?'} by ${url}`);
      answer.resume();
      breakOff();
    });
    // Not `once`, which rejects at an error: those are expected.
    await new Promise((resolve) => socket.on('close', resolve));
    clearTimeout(timer);
    signal.removeEventListener('abort', breakOff);
  }

  #receive(text: string): void {
    const message = JSON.parse(text) as EventEnvelope | ServerFrame;
    if ('op' in message) {
      // The broker is away, so the replay is broken off and the connection closed: nothing is lost by that.
      const passing = message.op === 'error' && message.code === 'broker_unavailable';
      return passing ? undefined : void this.#complaints.push(text);
    }
    this.#seqs.push(message.seq);
    this.#cursor = message.cursor;
    this.#lastSeq = Math.max(this.#lastSeq, message.seq);
    this.#options.onEvent(message);
    for (const { resolve } of this.#waiting.filter(({ seq }) => seq <= this.#lastSeq)) resolve();
    this.#waiting = this.#waiting.filter(({ seq }) => seq > this.#lastSeq);
  }
}
