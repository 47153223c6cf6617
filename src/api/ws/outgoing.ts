import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import { CLOSE } from '../../../contracts/wire/errors.js';
import { MAX_BUFFERED_BYTES } from '../../../contracts/api/ws.js';

/** How long a closing client may take to read what is left. */
const CLOSE_GRACE_MS = 10_000;

/** A client's frames on their way out: those of one turn of the event loop leave in one write. */
export class Outgoing {
  readonly #socket: WebSocket;
  readonly #raw: Socket;
  #frames: (Buffer | string)[] = [];
  #bytes = 0;
  #cursor = '';
  #closing = false;

  constructor(socket: WebSocket, raw: Socket) {
    this.#socket = socket;
    this.#raw = raw;
  }

  /** @param cursor of the event in the frame. */
  send(frame: Buffer | string, cursor?: string): void {
    if (this.#closing) return;
    if (this.#frames.length === 0) setImmediate(() => this.#flush());
    this.#frames.push(frame);
    this.#bytes += frame.length;
    if (cursor !== undefined) this.#cursor = cursor;
    // Also what waits for this turn's end counts, or a long replay would not be noticed.
    if (this.#bytes + this.#socket.bufferedAmount > MAX_BUFFERED_BYTES) this.close(CLOSE.tooSlow, this.#cursor);
  }

  /** What to wait for before more of the past is sent. */
  drained(): Promise<void> | undefined {
    if (this.#closing || this.#bytes + this.#socket.bufferedAmount < MAX_BUFFERED_BYTES / 2) return undefined;
    this.#flush();
    return new Promise((resolve) => {
      const done = (): void => {
        this.#raw.off('drain', done);
        this.#raw.off('close', done);
        resolve();
      };
      if (!this.#raw.writableNeedDrain) {
        setImmediate(resolve);
        return;
      }
      this.#raw.once('drain', done);
      this.#raw.once('close', done);
    });
  }

  /** Sends what is left, then the close frame. Idempotent. */
  close(code: number, reason = ''): void {
    if (this.#closing) return;
    this.#flush();
    this.#closing = true;
    this.#socket.close(code, reason);
    const timer = setTimeout(() => this.#socket.terminate(), CLOSE_GRACE_MS);
    this.#socket.once('close', () => clearTimeout(timer));
  }

  #flush(): void {
    const frames = this.#frames;
    if (frames.length === 0 || this.#closing) return;
    this.#frames = [];
    this.#bytes = 0;
    this.#raw.cork();
    for (const frame of frames) this.#socket.send(frame, { binary: false });
    this.#raw.uncork();
  }
}
