import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import type { NatsConnection } from '@nats-io/transport-node';
import { v7 as uuidv7 } from 'uuid';
import { BUCKET, HEADER, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { settledSequenceOf } from '../../src/tasks/event-cursor.js';
import { TaskReader } from '../../src/tasks/reader.js';
import { SessionNames } from '../../src/sessions/names.js';
import { LOCAL } from '../../src/access/principal.js';
import { Blobs } from '../../src/broker/blobs.js';
import type { Broker } from '../../src/broker/connect.js';
import { eventPublication, newEvent } from '../../src/broker/events.js';
import type { Publication } from '../../src/broker/publish.js';
import { streamPosition } from '../../src/broker/read.js';
import { encodeCursor } from '../../contracts/wire/cursor.js';
import { Limit } from '../../src/limit.js';
import { EventHub } from '../../src/events/hub.js';
import { readStream } from '../../src/broker/replay.js';
import type { ReadModel } from '../../src/store/read-model.js';
import { ApiLab, TOKEN } from '../fixtures/api.js';
import { silent } from '../fixtures/connection.js';
import { systemClock } from '../../src/clock.js';

const message = (taskId: string, n: number): Publication =>
  eventPublication(
    newEvent(systemClock, 'SPAWN_MESSAGE', {
      task_id: taskId,
      session_id: taskId,
      owner: 'local',
      attempt: 1,
      n,
      message: n,
    }),
    SUBJECT.taskOutput(taskId),
  );

describe('one fault stays one', () => {
  let lab: ApiLab;
  before(async () => {
    lab = await ApiLab.start();
  });
  after(() => lab.stop());

  /** A hub that hears nothing of what is republished: one whose connection is slower than another API's. */
  const deafHub = async (further: Partial<Broker> = {}): Promise<EventHub> => {
    const nc = { subscribe: () => ({ unsubscribe: () => undefined }), flush: async () => undefined };
    const broker: Broker = { ...lab.broker, nc: nc as unknown as NatsConnection, ...further };
    const hub = new EventHub(broker, new Blobs(lab.broker), silent);
    await hub.start();
    return hub;
  };

  it('an event that is none is told as that, and those after it come', async () => {
    const client = lab.connect();
    await client.opened;
    const bodies = ['{"v":1,"id":"","type":"X","timestamp":"","data":null}', 'null', '[]', '{bad', '{"data":{}}'];
    for (const payload of bodies)
      await lab.broker.publisher.publish({ subject: 'ksi.ingest.events.task.x.output', payload });
    const task = uuidv7();
    await lab.broker.publisher.publish(message(task, 1));
    await client.until(({ data }) => data['task_id'] === task);
    assert.equal(client.frames.filter(({ type }) => type === 'UNREADABLE').length, bodies.length);
    client.socket.terminate();
  });

  it('a task that the broker refuses to store does not stand as queued for ever', async () => {
    const client = lab.connect();
    await client.opened;
    const { config } = await lab.broker.jsm.streams.info(STREAM.commands);
    await lab.broker.jsm.streams.update(STREAM.commands, { ...config, max_msg_size: 1_000 });
    try {
      assert.equal((await lab.post({ prompt: 'x'.repeat(5_000) })).status, 413);
    } finally {
      await lab.broker.jsm.streams.update(STREAM.commands, { ...config, max_msg_size: -1 });
    }
    const cancelled = await client.until(({ type }) => type === 'SPAWN_CANCELLED');
    assert.equal(cancelled.data['reason'], 'not_accepted');
    client.socket.terminate();
  });

  it('who reads a replay slowly keeps nobody else waiting', async () => {
    const task = uuidv7();
    for (let n = 1; n <= 3; n++) await lab.broker.publisher.publish(message(task, n));
    const limit = new Limit(1);
    const replay = (): AsyncGenerator =>
      readStream(lab.broker, STREAM.events, SUBJECT.taskAll(task), 0, Number.MAX_SAFE_INTEGER, limit.run);
    const slow = replay();
    await slow.next();
    let seen = 0;
    for await (const _event of replay()) seen++;
    assert.equal(seen, 3);
    await slow.return(undefined);
  });

  it('a cursor from an API that is a moment ahead is taken, one from the future is not', async () => {
    const hub = await deafHub();
    try {
      const { seq } = await lab.broker.publisher.publish(message(uuidv7(), 1));
      assert.ok(hub.position.seq < seq);
      const { incarnation } = hub.position;
      assert.equal(await settledSequenceOf(encodeCursor({ incarnation, seq }), hub), seq);
      await assert.rejects(settledSequenceOf(encodeCursor({ incarnation, seq: seq + 1 }), hub), {
        code: 'cursor_gone',
      });
    } finally {
      await hub.stop();
    }
  });

  it('a cursor that is ahead is not called gone while the stream cannot be asked', async () => {
    let away = true;
    const hub = await deafHub({ connected: () => !away });
    try {
      const { seq } = await lab.broker.publisher.publish(message(uuidv7(), 1));
      const cursor = encodeCursor({ incarnation: hub.position.incarnation, seq });
      await assert.rejects(settledSequenceOf(cursor, hub), { code: 'broker_unavailable' });
      away = false;
      const sequences = await Promise.all([1, 2, 3].map(() => settledSequenceOf(cursor, hub)));
      assert.deepEqual(sequences, [seq, seq, seq]);
    } finally {
      await hub.stop();
    }
  });

  it('a cursor that a leader of the event stream does not know yet is asked for again', async () => {
    const { jsm } = lab.broker;
    let stale = 2;
    // Answers first as a leader does that was deposed: with the position before the last events.
    const info: typeof jsm.streams.info = async (...args) => {
      const real = await jsm.streams.info(...args);
      return stale-- > 0 ? { ...real, state: { ...real.state, last_seq: seq - 1 } } : real;
    };
    const streams = new Proxy(jsm.streams, {
      get: (target, name) => (name === 'info' ? info : Reflect.get(target, name, target)),
    });
    let { lastSeq: seq } = await streamPosition(lab.broker, STREAM.events);
    const hub = await deafHub({ jsm: { ...jsm, streams } });
    try {
      ({ seq } = await lab.broker.publisher.publish(message(uuidv7(), 1)));
      stale = 2;
      assert.equal(await settledSequenceOf(encodeCursor({ incarnation: hub.position.incarnation, seq }), hub), seq);
      assert.ok(stale < 0);
    } finally {
      await hub.stop();
    }
  });

  it('a task read from the broker has its output, though that lies in the object store', async () => {
    const hub = await deafHub();
    try {
      const blobs = new Blobs(lab.broker);
      const ids = { task_id: uuidv7(), session_id: uuidv7(), owner: 'local' };
      const ref = await blobs.put(`test/${ids.task_id}`, Buffer.from('{"result":"large"}'));
      const complete = newEvent(systemClock, 'SPAWN_COMPLETE', { ...ids, attempt: 1, n: 2, ref });
      await lab.broker.publisher.publish(eventPublication(complete, SUBJECT.taskState(ids.task_id, 'complete')));
      const nothing = { get: () => undefined } as unknown as ReadModel;
      const task = await new TaskReader(lab.broker, blobs, hub, nothing, new SessionNames(lab.broker, silent)).task(
        ids.task_id,
        LOCAL,
      );
      assert.deepEqual(task.output, { result: 'large' });
    } finally {
      await hub.stop();
    }
  });

  it('a command whose body is gone keeps no API from starting', async () => {
    const [taskId, sessionId] = [uuidv7(), uuidv7()];
    await lab.broker.publisher.publish({
      subject: SUBJECT.run('default', 'normal', sessionId),
      payload: JSON.stringify({ v: 1, task_id: taskId, session_id: sessionId, ref: { name: 'gone', size: 1 } }),
      headers: { [HEADER.taskId]: taskId },
    });
    assert.ok(await lab.broker.jsm.streams.info(`OBJ_${BUCKET.blobs}`));
    await lab.stopApi();
    await lab.startApi();
    assert.equal((await lab.request('/readyz')).status, 200);
  });

  it('an address that is none is refused with a word, and not without a token', async () => {
    const { port } = new URL(lab.url);
    const ask = async (headers: string, host = `127.0.0.1:${port}`): Promise<string> => {
      const socket = connect(Number(port), '127.0.0.1');
      socket.write(`GET /tasks/%zz HTTP/1.1\r\nHost: ${host}\r\n${headers}Connection: close\r\n\r\n`);
      return text(socket);
    };
    assert.match(await ask('', 'x'), /^HTTP\/1\.1 403 [^]*"code":"host_not_allowed"/);
    assert.match(await ask(''), /^HTTP\/1\.1 401 [^]*"code":"unauthorized"/);
    assert.match(
      await ask(`Authorization: Bearer ${TOKEN}\r\n`),
      /^HTTP\/1\.1 400 [^]*problem\+json[^]*invalid_request/,
    );
  });
});
