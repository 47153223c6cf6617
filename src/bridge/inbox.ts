import { WebSocket, type RawData } from 'ws';
import { API_ERRORS } from '../../contracts/wire/errors.js';
import type { InboxMessage } from '../../contracts/agents/messages.js';
import type { ClientFrame, ServerFrame } from '../../contracts/api/ws.js';
import { pause, pauseBefore } from '../client/backoff.js';
import { KsiError, KsiUnreachableError } from '../client/errors.js';
import type { KsiClientOptions } from '../client/http.js';
import { isTransient } from './errors.js';

interface InboxOptions {
  readonly connection: KsiClientOptions;
  /** The agent's id in KSI. */
  readonly agentId: string;
  /** Passes a message to the agent. @returns false if the agent is gone; the message then stays in the inbox */
  readonly take: (message: InboxMessage) => Promise<boolean>;
  /** Called once, when KSI shows the agent as connected. */
  readonly attached: () => void;
  readonly signal: AbortSignal;
  readonly onRetry: (error: unknown) => void;
}

/** A pattern without matches, because this connection is only for messages. */
const NO_EVENTS = 'ksi.live.none';
const ATTACHMENT = 'inbox';
/** KSI pings every 30 s, so a connection that is silent for this long is dead. */
const SILENCE_MS = 75_000;
const LEAVE_TIMEOUT_MS = 2_000;

/** Why reading an inbox ended: by `signal`, by another connection of the agent, or because the agent was removed. */
export type InboxEnd = 'left' | 'replaced' | 'removed';

/**
 * Reads an agent's inbox over a WebSocket, in order and each message once, and reconnects when the connection breaks. Meanwhile KSI shows the
 * agent as connected.
 * @throws {KsiError} if KSI refuses the first connection
 * @throws {KsiUnreachableError} if the first connection fails
 */
export async function readInbox(options: InboxOptions): Promise<InboxEnd> {
  const { signal, onRetry } = options;
  const inbox = new InboxReader(options);
  for (let tries = 0; ; tries++) {
    try {
      return await inbox.connection(() => (tries = 0));
    } catch (error) {
      if (signal.aborted) return 'left';
      if (!isTransient(error) || !inbox.wasAttached) throw error;
      onRetry(error);
      await pause(pauseBefore(tries), signal).catch(() => undefined);
      if (signal.aborted) return 'left';
    }
  }
}

class InboxReader {
  readonly #options: InboxOptions;
  /** The sequence of the last message passed on. A message that a new connection repeats is only acknowledged. */
  #given = 0;
  #attached = false;

  constructor(options: InboxOptions) {
    this.#options = options;
  }

  get wasAttached(): boolean {
    return this.#attached;
  }

  /** Opens one connection, and resolves at its end. @throws {KsiError | KsiUnreachableError} */
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

  /** Detaches, which lets pending acknowledgements go out, and terminates the connection if KSI does not answer. */
  #leave(socket: WebSocket): void {
    if (socket.readyState !== WebSocket.OPEN) return socket.terminate();
    send(socket, { op: 'detach', id: ATTACHMENT });
    setTimeout(() => socket.terminate(), LEAVE_TIMEOUT_MS).unref();
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
