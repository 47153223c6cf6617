import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import { CLOSE } from '../../../contracts/wire/errors.js';
import { MAX_BUFFERED_BYTES } from '../../../contracts/api/ws.js';

/** Milliseconds that a client has to read the remaining frames after a close. */
const CLOSE_GRACE_MS = 10_000;

/** Buffers a client's frames. All frames of one turn of the event loop go out in one write. */
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

  /** @param cursor the cursor of the frame's event. The close frame of a slow client contains the last one. */
  send(frame: Buffer | string, cursor?: string): void {
    if (this.#closing) return;
    if (this.#frames.length === 0) setImmediate(() => this.#flush());
    this.#frames.push(frame);
    this.#bytes += frame.length;
    if (cursor !== undefined) this.#cursor = cursor;
    // Frames that wait for the end of this turn count too: a replay may send many in one turn.
    if (this.#bytes + this.#socket.bufferedAmount > MAX_BUFFERED_BYTES) this.close(CLOSE.tooSlow, this.#cursor);
  }

  /** Resolves when a replay may send more events. Undefined: it may send them now. */
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

  /** Sends the remaining frames, then the close frame. Idempotent. */
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
