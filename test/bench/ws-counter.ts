import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

/**
 * A process of WebSocket clients that only count frames: the handshake by hand and a look at each frame's length, so that what is
 * measured is the server. Reads `{"expect": N}` on stdin and answers `{"ms": …}` once every client has N more frames.
 */
const {
  BENCH_PORT: port = '',
  BENCH_PATH: path = '/',
  BENCH_TOKEN: token = '',
  BENCH_CLIENTS: clients = '1',
} = process.env;

class FrameCounter {
  frames = 0;
  #skip = 0;
  #head = Buffer.alloc(0);

  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#skip > 0) {
        const step = Math.min(this.#skip, chunk.length - at);
        this.#skip -= step;
        at += step;
        if (this.#skip === 0) this.frames++;
        continue;
      }
      const head = this.#head.length === 0 ? chunk.subarray(at) : Buffer.concat([this.#head, chunk.subarray(at)]);
      const size = frameSize(head);
      if (size === undefined) {
        this.#head = Buffer.from(head);
        return;
      }
      const had = this.#head.length;
      this.#head = Buffer.alloc(0);
      at += size.header - had;
      this.#skip = size.payload;
      if (size.payload === 0) this.frames++;
    }
  }
}

/** A server's frame has no mask. Undefined: more bytes are needed. */
function frameSize(head: Buffer): { header: number; payload: number } | undefined {
  if (head.length < 2) return undefined;
  const short = head.readUInt8(1) & 0x7f;
  if (short < 126) return { header: 2, payload: short };
  if (short === 126) return head.length < 4 ? undefined : { header: 4, payload: head.readUInt16BE(2) };
  return head.length < 10 ? undefined : { header: 10, payload: Number(head.readBigUInt64BE(2)) };
}

const counters: FrameCounter[] = [];
const sockets: Socket[] = [];
let done: { target: number; begun: number } | undefined;

const check = (): void => {
  if (done === undefined) return;
  const { target, begun } = done;
  if (!counters.every((counter) => counter.frames >= target)) return;
  done = undefined;
  process.stdout.write(`${JSON.stringify({ ms: performance.now() - begun })}\n`);
};

const open = (): Promise<void> =>
  new Promise((resolve, reject) => {
    const socket = connect(Number(port), '127.0.0.1');
    const counter = new FrameCounter();
    let handshake = '';
    let upgraded = false;
    socket.on('error', reject);
    socket.on('data', (chunk: Buffer) => {
      if (upgraded) {
        counter.push(chunk);
        check();
        return;
      }
      handshake += chunk.toString('latin1');
      const end = handshake.indexOf('\r\n\r\n');
      if (end < 0) return;
      if (!handshake.startsWith('HTTP/1.1 101')) return reject(new Error(handshake.slice(0, 200)));
      upgraded = true;
      counter.push(Buffer.from(handshake.slice(end + 4), 'latin1'));
      resolve();
    });
    sockets.push(socket);
    counters.push(counter);
    socket.write(
      `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nAuthorization: Bearer ${token}\r\n` +
        `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`,
    );
  });

await Promise.all(Array.from({ length: Number(clients) }, open));
process.stdout.write(`${JSON.stringify({ clients: sockets.length })}\n`);
createInterface({ input: process.stdin }).on('line', (line) => {
  const { expect } = JSON.parse(line) as { expect: number };
  const least = Math.min(...counters.map((counter) => counter.frames));
  done = { target: least + expect, begun: performance.now() };
  process.stdout.write(`${JSON.stringify({ armed: true })}\n`);
});
process.once('SIGTERM', () => {
  for (const socket of sockets) socket.destroy();
  process.exit(0);
});
