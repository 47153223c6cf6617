import type { Socket } from 'node:net';
import { LineTooLongError, type Lines } from './lines.js';

/** What is done with what a client sends. */
export interface ClientHandler {
  /** Answers one line; never fails. @returns what becomes of the connection once the answer is written. */
  line(line: Buffer, link: ClientLink): Promise<'keep' | 'close'>;
  /** @returns the answer to a line that is too long; the connection is closed after it. */
  tooLong(error: LineTooLongError): string;
}

/** Bytes of lines that wait for their turn; a client that sends more is not read from until it has its answers. */
const MOST_WAITING_BYTES = 1 << 20;

/**
 * One connection of an old client. Its lines are handled one after another. As a rule it sends one, and the connection is closed after its
 * answer; that of an agent is kept. That a client is gone is told to those who asked (`onGone`).
 */
export class ClientLink {
  readonly #socket: Socket;
  readonly #lines: Lines;
  readonly #handler: ClientHandler;
  readonly #waiting: Buffer[] = [];
  readonly #whenGone: (() => void)[] = [];
  #waitingBytes = 0;
  #inputEnded = false;
  #handling = false;

  constructor(socket: Socket, lines: Lines, handler: ClientHandler) {
    this.#socket = socket;
    this.#lines = lines;
    this.#handler = handler;
    socket.on('data', (chunk) => this.#take(chunk));
    socket.on('end', () => this.#endOfInput());
    // A reset, or an answer to one who is gone: `close` follows.
    socket.on('error', () => undefined);
    socket.on('close', () => this.#leave());
  }

  /** Called once, when the client has said its last word or is gone; at once when that was before. */
  onGone(callback: () => void): void {
    if (this.#socket.destroyed || this.#inputEnded) callback();
    else this.#whenGone.push(callback);
  }

  /** Writes whole lines, and waits for a client that reads slowly. @returns false when it is gone. */
  send(lines: string | Uint8Array): Promise<boolean> {
    if (!this.#socket.writable) return Promise.resolve(false);
    return new Promise((resolve) => {
      this.#socket.write(lines, (error) => resolve(error === undefined || error === null));
    });
  }

  /** Lets what was written go out, and ends: whatever the client says now is heard by nobody. */
  close(): void {
    this.#socket.end(() => this.#socket.destroy());
  }

  /** Ends at once. */
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
    if (this.#waitingBytes > MOST_WAITING_BYTES) this.#socket.pause();
    void this.#work();
  }

  #endOfInput(): void {
    this.#inputEnded = true;
    // Of one who wrote no newline and waits for an answer: it is whole if it is JSON.
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
      if (line.length > 0) then = await this.#handler.line(line, this);
    this.#handling = false;
    if (then === 'close' || this.#inputEnded) this.close();
  }

  #next(): Buffer | undefined {
    const line = this.#waiting.shift();
    this.#waitingBytes -= line?.length ?? 0;
    if (this.#socket.isPaused() && this.#waitingBytes <= MOST_WAITING_BYTES) this.#socket.resume();
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
