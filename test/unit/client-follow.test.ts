import assert from 'node:assert/strict';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { WebSocketServer } from 'ws';
import type { ClientFrame } from '../../contracts/api/ws.js';
import { KsiClient, KsiError, KsiUnreachableError } from '../../src/client/index.js';
import { isPassing, pauseBefore } from '../../src/client/backoff.js';
import { readServerSentEvents } from '../../src/client/sse.js';

const event = (seq: number, type = 'SPAWN_MESSAGE') => ({
  v: 1,
  id: String(seq),
  type,
  timestamp: '',
  seq,
  cursor: `i-${seq}`,
  subject: 'ksi.events.task.t.output',
  data: {},
});

/** A server that breaks each connection after two events. */
describe('following over broken connections', () => {
  let server: Server;
  let sockets: WebSocketServer;
  let client: KsiClient;
  const LAST = 7;
  const from = (cursor: string | undefined): number => Number(cursor?.split('-').at(-1) ?? 0) + 1;

  const stream = (first: number, answer: ServerResponse): void => {
    answer.writeHead(200, { 'content-type': 'text/event-stream' });
    for (let seq = first; seq < first + 2 && seq <= LAST; seq++)
      answer.write(
        `: comment\nid: i-${seq}\ndata: ${JSON.stringify(event(seq, seq === LAST ? 'SPAWN_COMPLETE' : undefined))}\n\n`,
      );
    // Half an event, then the end of the connection.
    answer.write('id: i-99\ndata: {"half', () => answer.destroy());
  };

  before(async () => {
    server = createServer((request, answer) => {
      const url = new URL(request.url ?? '', 'http://x');
      if (request.headers.authorization !== 'Bearer good') {
        answer
          .writeHead(401, { 'content-type': 'application/problem+json' })
          .end('{"code":"unauthorized","detail":"no"}');
      } else if (url.pathname.endsWith('/events'))
        stream(from(request.headers['last-event-id'] as string | undefined), answer);
      else answer.writeHead(503, { 'retry-after': '2' }).end('<html>a proxy</html>');
    });
    sockets = new WebSocketServer({ server });
    sockets.on('connection', (socket) => {
      socket.once('message', (data) => {
        const frame = JSON.parse((data as Buffer).toString()) as ClientFrame;
        if (frame.op !== 'subscribe') return;
        if (frame.subjects[0] === 'bad')
          return socket.send('{"op":"error","id":"1","code":"invalid_subject","message":"no"}');
        const first = from(frame.since);
        socket.send(JSON.stringify({ op: 'subscribed', id: frame.id, seq: first - 1 }));
        // The first connection breaks before any event.
        for (let seq = first; frame.since !== undefined && seq < first + 2; seq++)
          socket.send(JSON.stringify(event(seq)));
        socket.close(1012);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    client = new KsiClient({ url: `http://127.0.0.1:${port}`, token: 'good', retries: 0 });
  });
  after(() => {
    sockets.close();
    server.close();
    server.closeAllConnections();
  });

  it('returns every event of a task once, up to its outcome', async () => {
    const seen: number[] = [];
    for await (const { seq } of client.tasks.events('t')) seen.push(seq);
    assert.deepEqual(seen, [1, 2, 3, 4, 5, 6, 7]);
  });

  it('returns every event of a socket once, until it is stopped', async () => {
    const seen: number[] = [];
    for await (const message of client.events()) {
      if ('seq' in message) seen.push(message.seq);
      if (seen.length === 5) break;
    }
    assert.deepEqual(seen.slice(0, 5), [1, 2, 3, 4, 5]);
  });

  it('reports at once that a socket refuses, or that there is no server', async () => {
    const refused = client.events({ subjects: ['bad'] }).next();
    await assert.rejects(refused, (error) => error instanceof KsiError && error.code === 'invalid_subject');
    const nobody = new KsiClient({ url: 'http://127.0.0.1:1', token: 'x' });
    await assert.rejects(nobody.events().next(), KsiUnreachableError);
    await assert.rejects(nobody.tasks.events('t', { since: 'i-1' }).next(), KsiUnreachableError);
  });

  it('reports an error of KSI by code, of a proxy by status, and a missing answer as unreachable', async () => {
    const { port } = server.address() as AddressInfo;
    const stranger = new KsiClient({ url: `http://127.0.0.1:${port}`, token: 'bad' });
    await assert.rejects(
      stranger.tasks.get('t'),
      (error) => error instanceof KsiError && error.code === 'unauthorized' && error.status === 401,
    );
    await assert.rejects(
      client.tasks.get('t'),
      (error) => error instanceof KsiError && error.code === 'http_503' && error.retryAfter === 2,
    );
    await assert.rejects(new KsiClient({ url: 'http://127.0.0.1:1', token: 'x' }).tasks.get('t'), KsiUnreachableError);
  });
});

describe('server-sent events', () => {
  const read = async (chunks: readonly string[]): Promise<unknown[]> => {
    const seen = [];
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const chunk of chunks) controller.enqueue(new TextEncoder().encode(chunk));
        controller.close();
      },
    });
    for await (const each of readServerSentEvents(body)) seen.push(each);
    return seen;
  };

  it('are assembled from any chunks', async () => {
    const whole = 'id: 1\ndata: a\ndata: b\n\n: comment\n\nid: 2\r\ndata:c\r\n\r\n';
    const expected = [
      { id: '1', data: 'a\nb' },
      { id: '2', data: 'c' },
    ];
    assert.deepEqual(await read([whole]), expected);
    assert.deepEqual(await read(['id: 1\nda', 'ta: a\ndata: b\n', '\nid: 2\ndata:c\n\n']), expected);
  });

  it('are dropped if they are incomplete', async () => {
    assert.deepEqual(await read(['id: 1\ndata: {"half']), []);
  });
});

describe('backoff', () => {
  it('doubles up to a limit, with jitter', () => {
    assert.deepEqual(
      [0, 1, 2, 10].map((n) => pauseBefore(n, () => 1)),
      [200, 400, 800, 5_000],
    );
    assert.equal(
      pauseBefore(0, () => 0),
      100,
    );
  });

  it('applies to temporary errors', () => {
    assert.deepEqual(
      [400, 401, 404, 429, 500, 503].map((status) => isPassing(new KsiError(status, undefined))),
      [false, false, false, true, true, true],
    );
  });
});

it('reports a server that stays unreachable, and continues with the next event when it is back', async () => {
  const server = createServer();
  const listen = (port: number): Promise<void> => new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket) =>
    socket.once('message', (data) => {
      const { since } = JSON.parse((data as Buffer).toString()) as { since?: string };
      socket.send(JSON.stringify(event(Number(since?.split('-').at(-1) ?? 0) + 1)));
      if (since !== undefined) return;
      server.close();
      socket.close(1012);
    }),
  );
  await listen(0);
  const { port } = server.address() as AddressInfo;
  const client = new KsiClient({ url: `http://127.0.0.1:${port}`, token: 'good' });
  const errors: Error[] = [];
  const onRetry = (error: Error): void => {
    if (errors.push(error) === 1) void listen(port);
  };
  const seen: number[] = [];
  for await (const message of client.events({ onRetry })) {
    if ('seq' in message) seen.push(message.seq);
    if (seen.length === 2) break;
  }
  assert.deepEqual(seen, [1, 2]);
  assert.ok(errors.length > 0 && errors.every((error) => error instanceof KsiUnreachableError));
  sockets.close();
  server.close();
  server.closeAllConnections();
});
