import { WebSocket, type RawData } from 'ws';
import { API_ERRORS } from '../../contracts/wire/errors.js';
import type { InboxMessage } from '../../contracts/agents/messages.js';
import type { ClientFrame, ServerFrame } from '../../contracts/api/ws.js';
import { isPassing, pause, pauseBefore } from '../client/backoff.js';
import { KsiError, KsiUnreachableError } from '../client/errors.js';
import type { KsiClientOptions } from '../client/http.js';

interface InboxOptions {
  readonly connection: KsiClientOptions;
  /** KSI's id of the agent. */
  readonly agentId: string;
  /** Gives the agent a message. @returns false: it is gone, and the message stays in the inbox. */
  readonly take: (message: InboxMessage) => Promise<boolean>;
  /** Called once it is connected: from then on others see it so. */
  readonly attached: () => void;
  /** Ends it. */
  readonly signal: AbortSignal;
  readonly onRetry: (error: unknown) => void;
}

/** A pattern that nothing matches: over this connection come only messages. */
const NO_EVENTS = 'ksi.live.none';
const ATTACHMENT = 'inbox';
/** KSI pings every 30 s; a connection silent for longer is dead. */
const SILENCE_MS = 75_000;
const LEAVE_WITHIN_MS = 2_000;

/** How an inbox is read no more. */
export type InboxEnd = 'left' | 'replaced' | 'removed';

/**
 * Reads an agent's inbox over a WebSocket, in order, each message once; a broken connection is made again. Others see the agent as
 * connected meanwhile. @throws {KsiError} the first connection was refused. @throws {KsiUnreachableError} it was not made.
 */
export async function readInbox(options: InboxOptions): Promise<InboxEnd> {
  const { signal, onRetry } = options;
  const inbox = new InboxReader(options);
  for (let tries = 0; ; tries++) {
    try {
      return await inbox.connection(() => (tries = 0));
    } catch (error) {
      if (signal.aborted) return 'left';
      const passing = error instanceof KsiUnreachableError || (error instanceof KsiError && isPassing(error));
      if (!passing || !inbox.wasAttached) throw error;
      onRetry(error);
      await pause(pauseBefore(tries), signal).catch(() => undefined);
      if (signal.aborted) return 'left';
    }
  }
}

class InboxReader {
  readonly #options: InboxOptions;
  /** The last that the agent was given: what comes again after a broken connection is acknowledged alone. */
  #given = 0;
  #attached = false;

  constructor(options: InboxOptions) {
    this.#options = options;
  }

  get wasAttached(): boolean {
    return this.#attached;
  }

  /** One connection, to its end. @throws {KsiError | KsiUnreachableError} */
  connection(attached: () => void): Promise<InboxEnd> {
    const { connection, signal } = this.#options;
    const address = new URL(`${connection.url.replace(/^http/, 'ws')}/events`);
    address.searchParams.set('subject', NO_EVENTS);
    const socket = new WebSocket(address, { headers: { authorization: `Bearer ${connection.token}` } });
    return new Promise((resolve, reject) => {
      const silence = setTimeout(() => socket.terminate(), SILENCE_MS);
      const leave = (): void => this.#leave(socket);
      let giving: Promise<void> = Promise.resolve();
      socket.on('open', () => (signal.aborted ? leave() : send(socket, this.#attach())));
      socket.on('ping', () => silence.refresh());
      socket.on('message', (data: RawData) => {
        silence.refresh();
        const frame = JSON.parse((data as Buffer).toString('utf8')) as ServerFrame;
        if (!('op' in frame)) return;
        if (frame.op === 'attached') {
          attached();
          this.#onAttached();
        } else if (frame.op === 'message') {
          giving = giving.then(() => this.#give(socket, frame.message));
        } else if (frame.op === 'detached') {
          resolve(frame.reason === 'asked' ? 'left' : frame.reason);
          socket.close();
        } else if (frame.op === 'error' && frame.id === ATTACHMENT && !this.#attached) {
          reject(refusal(frame));
          socket.close();
        }
      });
      socket.on('unexpected-response', (_request, answer) => {
        answer.resume();
        reject(new KsiError(answer.statusCode ?? 0, undefined));
      });
      socket.on('error', (error) => reject(new KsiUnreachableError(connection.url, error)));
      socket.on('close', () => {
        clearTimeout(silence);
        signal.removeEventListener('abort', leave);
        reject(new KsiUnreachableError(connection.url, new Error('the connection was closed')));
      });
      signal.addEventListener('abort', leave, { once: true });
    });
  }

  #attach(): ClientFrame {
    return { op: 'attach', id: ATTACHMENT, agent_id: this.#options.agentId };
  }

  #onAttached(): void {
    if (!this.#attached) this.#options.attached();
    this.#attached = true;
  }

  async #give(socket: WebSocket, message: InboxMessage): Promise<void> {
    if (this.#options.signal.aborted) return;
    if (message.seq > this.#given && !(await this.#options.take(message))) return;
    this.#given = Math.max(this.#given, message.seq);
    send(socket, { op: 'ack', id: ATTACHMENT, seq: message.seq });
  }

  /** What was acknowledged goes out first. */
  #leave(socket: WebSocket): void {
    if (socket.readyState !== WebSocket.OPEN) return socket.terminate();
    send(socket, { op: 'detach', id: ATTACHMENT });
    setTimeout(() => socket.terminate(), LEAVE_WITHIN_MS).unref();
  }
}

function send(socket: WebSocket, frame: ClientFrame): void {
  if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(frame));
}

function refusal({ code, message }: Extract<ServerFrame, { op: 'error' }>): KsiError {
  const known: Readonly<Record<string, { readonly status: number; readonly title: string }>> = API_ERRORS;
  const { status, title } = known[code] ?? { status: 400, title: code };
  return new KsiError(status, { type: '', title, status, code, detail: message });
}
