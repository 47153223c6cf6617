import { createInterface } from 'node:readline';
import { WebSocketServer } from 'ws';

/** The baseline of the fan-out: a bare `ws` server that sends the same frames to every client, each by its own `send`. */
const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false });
server.on('listening', () => {
  const address = server.address();
  if (address !== null && typeof address !== 'string')
    process.stdout.write(`${JSON.stringify({ port: address.port })}\n`);
});
/** Sends in slices, as events would come, so that sockets can drain between them. */
const SLICE = 100;
createInterface({ input: process.stdin }).on('line', (line) => {
  const { frames, bytes } = JSON.parse(line) as { frames: number; bytes: number };
  const frame = Buffer.alloc(bytes, 'x');
  let sent = 0;
  const slice = (): void => {
    for (let i = 0; i < SLICE && sent < frames; i++, sent++) {
      for (const client of server.clients) client.send(frame, { binary: false });
    }
    if (sent < frames) setImmediate(slice);
  };
  slice();
});
process.once('SIGTERM', () => {
  for (const client of server.clients) client.terminate();
  server.close(() => process.exit(0));
});
