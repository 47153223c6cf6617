import type { Socket } from 'node:net';
import { LineTooLongError, type LineReader } from './lines.js';

export interface ClientHandler {
  /** Answers one line. Never rejects. @returns whether to keep the connection open after the answer */
  line(line: Buffer, link: ClientLink): Promise<'keep' | 'close'>;
  /** @returns the answer to a line that is too long. The connection is closed after it */
  tooLong(error: LineTooLongError): string;
}

/** In bytes. The bridge stops reading from a client while more of its lines wait for their answers. */
const MAX_WAITING_BYTES = 1 << 20;

/**
 * One connection of an old client. Its lines are handled in order. Most clients send one line, and the connection is closed after the answer. An
 * agent's connection stays open.
 */
export class ClientLink {
  readonly #socket: Socket;
  readonly #lines: LineReader;
  readonly #handler: ClientHandler;
  readonly #waiting: Buffer[] = [];
  readonly #whenGone: (() => void)[] = [];
  #waitingBytes = 0;
  #inputEnded = false;
  #handling = false;

  constructor(socket: Socket, lines: LineReader, handler: ClientHandler) {
    this.#socket = socket;
    this.#lines = lines;
    this.#handler = handler;
    socket.on('data', (chunk) => this.#take(chunk));
    socket.on('end', () => this.#endOfInput());
    // `close` follows each error.
    socket.on('error', () => undefined);
    socket.on('close', () => this.#leave());
  }

  /** Calls `callback` once, when the client has ended its input or disconnected; at once if it already has. */
  onGone(callback: () => void): void {
    if (this.#socket.destroyed || this.#inputEnded) callback();
    else this.#whenGone.push(callback);
  }

  /** Writes whole lines, and waits for a slow reader. @returns false if the client is gone */
  send(lines: string | Uint8Array): Promise<boolean> {
    if (!this.#socket.writable) return Promise.resolve(false);
    return new Promise((resolve) => {
      this.#socket.write(lines, (error) => resolve(error === undefined || error === null));
    });
  }

  /** Closes the connection after pending output. Further input is ignored. */
  close(): void {
    this.#socket.end(() => this.#socket.destroy());
  }

  /** Closes the connection at once. */
  destroy(): void {
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    try {
      for (const line of this.#lines.push(chunk)) this.#queue(line);
    } catch (error) {
      if (!(error instanceof LineTooLongError)) throw error;
      this.#lines.rest();
      this.#socket.pause();
      void this.send(this.#handler.tooLong(error)).then(() => this.close());
    }
  }

  #queue(line: Buffer): void {
    this.#waiting.push(line);
    this.#waitingBytes += line.length;
    if (this.#waitingBytes > MAX_WAITING_BYTES) this.#socket.pause();
    void this.#work();
  }

  #endOfInput(): void {
    this.#inputEnded = true;
    // The last line may lack its newline. If it is JSON, it is complete.
    const rest = this.#lines.rest();
    if (rest.length > 0) this.#queue(rest);
    else if (!this.#handling) this.close();
    this.#tellGone();
  }

  async #work(): Promise<void> {
    if (this.#handling) return;
    this.#handling = true;
    let then: 'keep' | 'close' = 'keep';
    for (let line = this.#next(); line !== undefined && then === 'keep'; line = this.#next())
      then = await this.#handler.line(line, this);
    this.#handling = false;
    if (then === 'close' || this.#inputEnded) this.close();
  }

  #next(): Buffer | undefined {
    const line = this.#waiting.shift();
    this.#waitingBytes -= line?.length ?? 0;
    if (this.#socket.isPaused() && this.#waitingBytes <= MAX_WAITING_BYTES) this.#socket.resume();
    return line;
  }

  #leave(): void {
    this.#lines.rest();
    this.#waiting.length = 0;
    this.#tellGone();
  }

  #tellGone(): void {
    for (const callback of this.#whenGone.splice(0)) callback();
  }
}
