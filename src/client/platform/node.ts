import type { Agent } from 'undici';
import type { WebSocket } from 'ws';
import type { Platform, Socket, SocketListener } from './platform.js';

/** Node, with its own connection pool. `undici` and `ws` are loaded at first use, because loading them takes longer than a short CLI command. */
export class NodePlatform implements Platform {
  readonly needsTickets = false;
  readonly #sockets = new Set<NodeSocket>();
  #undici: Promise<Pool> | undefined;
  #closed = false;

  async fetch(url: string, init: RequestInit): Promise<Response> {
    this.#undici ??= openPool();
    const { fetch } = await this.#undici;
    return fetch(url, init);
  }

  openSocket(url: string, token: string, listener: SocketListener): Socket {
    const socket = new NodeSocket(url, token, {
      ...listener,
      closed: (error) => {
        this.#sockets.delete(socket);
        listener.closed(error);
      },
    });
    this.#sockets.add(socket);
    if (this.#closed) socket.end();
    return socket;
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const socket of this.#sockets) socket.end();
    const pool = await this.#undici;
    await pool?.agent.destroy();
  }
}

interface Pool {
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  readonly agent: Agent;
}

async function openPool(): Promise<Pool> {
  const { Agent, fetch } = await import('undici');
  // No timeouts: event streams can be silent for long and have their own check, and an answer may wait for a task's outcome.
  const agent = new Agent({ bodyTimeout: 0, headersTimeout: 0 });
  // undici's types of `fetch` differ from Node's, but not in a way that matters here.
  const request = fetch as unknown as (url: string, init: object) => Promise<Response>;
  return { fetch: (url, init) => request(url, { ...init, dispatcher: agent }), agent };
}

class NodeSocket implements Socket {
  readonly #listener: SocketListener;
  #socket: WebSocket | undefined;
  #ended = false;

  constructor(url: string, token: string, listener: SocketListener) {
    this.#listener = listener;
    void this.#open(url, token).catch((error: unknown) => this.#close(error));
  }

  send(text: string): void {
    if (this.#socket?.readyState === 1) this.#socket.send(text);
  }

  pause(): void {
    this.#socket?.pause();
  }

  resume(): void {
    this.#socket?.resume();
  }

  end(): void {
    this.#socket?.terminate();
    this.#close(undefined);
  }

  async #open(url: string, token: string): Promise<void> {
    const { WebSocket } = await import('ws');
    if (this.#ended) return;
    const listener = this.#listener;
    const socket = new WebSocket(url, { headers: { authorization: `Bearer ${token}` } });
    this.#socket = socket;
    socket.on('open', () => listener.opened());
    socket.on('ping', () => listener.alive());
    socket.on('message', (data) => listener.message((data as Buffer).toString('utf8')));
    socket.on('unexpected-response', (_request, answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('error', (error) => this.#close(error));
      answer.on('end', () => {
        listener.refused(answer.statusCode ?? 0, Buffer.concat(chunks).toString('utf8'));
        this.#close(undefined);
      });
    });
    socket.on('error', (error) => this.#close(error));
    socket.on('close', () => this.#close(undefined));
  }

  #close(error: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#listener.closed(error);
  }
}
