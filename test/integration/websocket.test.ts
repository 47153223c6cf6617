import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { once } from 'node:events';
import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { eventPublication, newEvent } from '../../src/broker/events.js';
import type { Publication } from '../../src/broker/publish.js';
import { ApiLab, TOKEN, type SocketClient } from '../fixtures/api.js';
import { systemClock } from '../../src/clock.js';

const TASK = '01a20820-0000-7000-8000-000000000000';

/** An event of nobody's task, large or small. */
const noise = (n: number, bytes = 10): Publication =>
  eventPublication(
    newEvent(systemClock, 'SPAWN_MESSAGE', {
      task_id: TASK,
      session_id: TASK,
      owner: 'local',
      attempt: 1,
      n,
      message: 'x'.repeat(bytes),
    }),
    SUBJECT.taskOutput(TASK),
  );

const assertContiguous = (seqs: readonly number[]): void => {
  for (let i = 1; i < seqs.length; i++)
    assert.equal(seqs[i], (seqs[i - 1] ?? 0) + 1, `after ${seqs[i - 1]} came ${seqs[i]}`);
};

describe('WebSocket', () => {
  let lab: ApiLab;
  before(async () => {
    lab = await ApiLab.start();
  });
  after(() => lab.stop());

  const open = async (query = ''): Promise<SocketClient> => {
    const client = lab.connect(query);
    await client.opened;
    return client;
  };
  const publish = async (count: number, bytes?: number): Promise<void> => {
    for (let at = 0; at < count; at += 250) {
      await lab.broker.publisher.publishBatch(
        Array.from({ length: Math.min(250, count - at) }, (_, index) => noise(at + index + 1, bytes)),
        10_000,
      );
    }
  };
  const position = async (): Promise<number> => (await lab.broker.jsm.streams.info(STREAM.events)).state.last_seq;

  it('causes no warning in an API with 20 connections, streams and waits at once', async () => {
    const warnings: string[] = [];
    const note = ({ message }: Error): unknown => warnings.push(message);
    process.on('warning', note);
    try {
      const clients = await Promise.all(Array.from({ length: 20 }, () => open()));
      const task = await lab.spawn();
      const headers = { authorization: `Bearer ${TOKEN}`, accept: 'text/event-stream' };
      const streams = await Promise.all(
        clients.map(() => fetch(`${lab.url}/tasks/${task.task_id}/events`, { headers })),
      );
      const waits = clients.map((_, n) => lab.request(`/agents/none-${n}/inbox?wait=1`));
      await lab.finish(task);
      await Promise.all([...streams.map((stream) => stream.text()), ...waits]);
      for (const { socket } of clients) socket.terminate();
      assert.deepEqual(warnings, []);
    } finally {
      process.off('warning', note);
    }
  });

  it('gives a client that posts and then connects its outcome, though it came before', async () => {
    const task = await lab.spawn();
    await lab.finish(task);
    const client = await open();
    const outcome = await client.until(
      ({ type, data }) => type === 'SPAWN_COMPLETE' && data['task_id'] === task.task_id,
    );
    assert.deepEqual(outcome.data['output'], { result: 'done' });
    client.socket.terminate();
  });

  it('joins the past to the present with no gap and no repeat, while events keep coming', async () => {
    const from = await position();
    await publish(12_000);
    const coming = publish(6_000);
    const client = await open(`?since=${from}`);
    await coming;
    await client.until(({ seq }) => seq === from + 18_000);
    assert.equal(client.seqs[0], from + 1);
    assert.equal(client.seqs.length, 18_000);
    assertContiguous(client.seqs);
    client.socket.terminate();
  });

  it('replays only what matches, and goes on so', async () => {
    const from = await position();
    const first = await lab.spawn();
    await publish(20);
    await lab.finish(first, 2);
    const client = await open(`?since=${from}&subject=${encodeURIComponent('ksi.events.task.*.state.*')}`);
    await client.until(({ type }) => type === 'SPAWN_COMPLETE');
    const second = await lab.spawn();
    await client.until(({ data }) => data?.['task_id'] === second.task_id);
    assert.deepEqual(
      client.frames.map(({ type }) => type),
      ['SPAWN_QUEUED', 'SPAWN_START', 'SPAWN_COMPLETE', 'SPAWN_QUEUED'],
    );
    client.socket.terminate();
  });

  it('says what retention has taken', async () => {
    await publish(10);
    const last = await position();
    await lab.broker.jsm.streams.purge(STREAM.events, { seq: last - 4 });
    await lab.stopApi();
    await lab.startApi();
    const client = await open(`?since=${last - 9}`);
    const gap = await client.until(({ op }) => op === 'gap');
    assert.deepEqual([gap.from, gap.to], [last - 8, last - 5]);
    await client.until(({ seq }) => seq === last);
    assert.deepEqual(client.seqs, [last - 4, last - 3, last - 2, last - 1, last]);
    client.socket.terminate();
  });

  it('subscribes and unsubscribes by frames, and sends an event of two subscriptions once', async () => {
    const client = await open('?subject=ksi.events.worker.%3E');
    client.send({ op: 'subscribe', id: 'a', subjects: ['ksi.events.task.*.output'] });
    client.send({ op: 'subscribe', id: 'b', subjects: ['ksi.events.task.>', 'ksi.live.>'] });
    await client.until(({ op, id }) => op === 'subscribed' && id === 'b');
    await publish(3);
    await client.until(({ data }) => data?.['n'] === 3);
    assert.equal(client.seqs.length, 3);
    client.send({ op: 'unsubscribe', id: 'a' });
    client.send({ op: 'unsubscribe', id: 'b' });
    await client.until(({ op, id }) => op === 'unsubscribed' && id === 'b');
    await publish(3);
    client.send('ping');
    await client.until(({ op }) => op === 'pong');
    assert.equal(client.seqs.length, 3);
    client.socket.terminate();
  });

  it('passes deltas on to those who want them', async () => {
    const client = await open('?subject=ksi.live.task.*');
    client.send('ping');
    await client.until(({ op }) => op === 'pong');
    await lab.broker.nc.flush();
    const delta = {
      v: 1,
      type: 'SPAWN_DELTA',
      timestamp: new Date().toISOString(),
      data: { task_id: TASK, session_id: TASK, owner: 'local', attempt: 1, part: 0, offset: 0, text: 'hi' },
    };
    lab.broker.nc.publish(SUBJECT.live(TASK), JSON.stringify(delta));
    const seen = await client.until(({ type }) => type === 'SPAWN_DELTA');
    assert.equal(seen.subject, SUBJECT.live(TASK));
    assert.equal(seen.data['text'], 'hi');
    client.socket.terminate();
  });

  it('explains a bad frame and goes on', async () => {
    const client = await open();
    const bad: [unknown, string][] = [
      ['{not json', 'invalid_json'],
      [{ op: 'dance' }, 'invalid_request'],
      [{ op: 'subscribe', id: '1', subjects: ['>'] }, 'invalid_subject'],
      [{ op: 'subscribe', id: '1', subjects: ['ksi.commands.>'] }, 'invalid_subject'],
      [{ op: 'subscribe', id: '1', subjects: ['ksi.events.a..b'] }, 'invalid_subject'],
      [{ op: 'subscribe', id: '1', subjects: ['ksi.events.>.x'] }, 'invalid_subject'],
      [{ op: 'subscribe', id: '1', subjects: ['ksi.events.>'], since: '999999999' }, 'cursor_gone'],
      [{ op: 'subscribe', id: '1', subjects: ['ksi.events.>'], since: '!' }, 'invalid_cursor'],
    ];
    for (const [frame] of bad) client.send(frame);
    client.send('ping');
    await client.until(({ op }) => op === 'pong');
    assert.deepEqual(
      client.frames.filter(({ op }) => op === 'error').map(({ code }) => code),
      bad.map(([, code]) => code),
    );
    client.socket.terminate();
  });

  it('closes on what is no text, or too much of it', async () => {
    const binary = await open();
    binary.socket.send(Buffer.from([1, 2, 3]));
    assert.equal((await binary.closed).code, 1003);
    const large = await open();
    large.send('x'.repeat(70_000));
    assert.equal((await large.closed).code, 1009);
  });

  it('refuses an upgrade with a word', async () => {
    const refused = async (query: string, headers: Record<string, string>): Promise<number | undefined> => {
      const { socket } = lab.connect(query, { headers });
      const [, answer] = (await once(socket, 'unexpected-response')) as [
        unknown,
        { statusCode?: number; resume(): void },
      ];
      answer.resume();
      socket.terminate();
      return answer.statusCode;
    };
    const authorization = 'Bearer test-token';
    assert.equal(await refused('', {}), 401);
    assert.equal(await refused('', { authorization: 'Bearer wrong' }), 401);
    assert.equal(await refused('?since=!', { authorization }), 400);
    assert.equal(await refused('?subject=ksi.commands.%3E', { authorization }), 400);
    assert.equal(await refused('?sbject=x', { authorization }), 400);
    assert.equal((await lab.request('/events')).status, 400);
  });

  it('knows its subprotocol, and needs none', async () => {
    const { url } = lab;
    const spoken = async (protocols: string[]): Promise<string> => {
      const { WebSocket } = await import('ws');
      const socket = new WebSocket(`${url.replace('http', 'ws')}/events`, protocols, {
        headers: { authorization: 'Bearer test-token' },
      });
      await once(socket, 'open');
      socket.terminate();
      return socket.protocol;
    };
    assert.equal(await spoken(['ksi.v1']), 'ksi.v1');
    assert.equal(await spoken([]), '');
  });

  it('cuts a client off that does not read, with a cursor from which it misses nothing', async () => {
    const from = await position();
    const client = await open(`?since=${from}`);
    client.socket.pause();
    // More than the sockets' own buffers and ours hold.
    await publish(3_000, 20_000);
    client.socket.resume();
    const { code, reason } = await client.closed;
    assert.equal(code, 4408);
    const last = client.seqs.at(-1) ?? 0;
    assert.ok(reason.endsWith(`-${last}`), `closed with ${reason}, and ${last} was the last that came`);
    const again = await open(`?since=${reason}`);
    await again.until(({ seq }) => seq === from + 3_000);
    assertContiguous([...client.seqs, ...again.seqs]);
    again.socket.terminate();
  });

  it('tells its clients of a shutdown', async () => {
    const client = await open();
    await lab.stopApi();
    assert.equal((await client.closed).code, 1012);
    await lab.startApi();
  });

  it('refuses new streams while the API stops, as they would hold it up', async () => {
    const { task_id: id } = await lab.spawn();
    const statuses: number[] = [];
    const follow = async (): Promise<void> => {
      const headers = { authorization: `Bearer ${TOKEN}`, accept: 'text/event-stream' };
      const answer = await fetch(`${lab.url}/tasks/${id}/events`, { headers });
      statuses.push(answer.status);
      opened();
      await answer.text();
      return follow();
    };
    let opened = (): void => undefined;
    const streams = new Promise<void>((resolve) => (opened = resolve));
    const refused = assert.rejects(follow(), TypeError);
    await streams;
    await lab.stopApi();
    await refused;
    assert.equal(statuses[0], 200);
    // How often it comes through before the port closes is a matter of chance.
    assert.deepEqual(
      statuses.slice(1).filter((status) => status !== 503),
      [],
    );
    await lab.startApi();
  });
});
