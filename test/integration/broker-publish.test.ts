import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { Objm } from '@nats-io/obj';
import { Batcher } from '../../src/broker/batcher.js';
import type { Broker } from '../../src/broker/connect.js';
import { Blobs } from '../../src/broker/blobs.js';
import { isBrokerError, TOO_LARGE } from '../../src/broker/errors.js';
import { eventPublication, newEvent } from '../../src/broker/events.js';
import type { Publication } from '../../src/broker/publish.js';
import { lastBySubject, nextBySubject } from '../../src/broker/read.js';
import { HEADER, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { startTestBroker, type TestBroker } from '../fixtures/broker.js';
import { connectTest, makeStreams } from '../fixtures/connection.js';
import { readConfig } from '../../src/config/load.js';
import { streamSpecs } from '../../contracts/broker/topology.js';
import { systemClock } from '../../src/clock.js';

describe('publishing to the broker', () => {
  let server: TestBroker;
  let broker: Broker;
  before(async () => {
    server = await startTestBroker();
    broker = await connectTest(server.url, { KSI_QUEUE_MAX: '20' });
  });
  after(async () => {
    await broker.close();
    await server.stop();
  });

  const stateEvent = (taskId: string, token: 'queued' | 'complete', seq: number): Publication => {
    const data = { task_id: taskId, session_id: taskId, owner: 'local' };
    const event =
      token === 'queued'
        ? newEvent(systemClock, 'SPAWN_QUEUED', { ...data, queue: 'default', priority: 'normal', prompt_preview: '' })
        : newEvent(systemClock, 'SPAWN_COMPLETE', { ...data, attempt: 1, n: 2, output: {} });
    return eventPublication(event, SUBJECT.taskState(taskId, token), { filter: SUBJECT.taskStates(taskId), seq });
  };

  it('stores on the events subject what is published on the ingest subject, and republishes it with its sequence', async () => {
    const taskId = randomUUID();
    const seen = new Promise<{ subject: string; seq: string }>((resolve) => {
      broker.nc.subscribe(SUBJECT.taskAll(taskId), {
        max: 1,
        callback: (_error, msg) => resolve({ subject: msg.subject, seq: msg.headers?.get(HEADER.seq) ?? '' }),
      });
    });
    const ack = await broker.publisher.publish(stateEvent(taskId, 'queued', 0));
    assert.deepEqual(await seen, { subject: SUBJECT.taskState(taskId, 'queued'), seq: String(ack.seq) });
    assert.equal((await lastBySubject(broker, STREAM.events, SUBJECT.taskStates(taskId)))?.seq, ack.seq);
  });

  it('lets exactly one of many outcomes in', async () => {
    const taskId = randomUUID();
    const { seq } = await broker.publisher.publish(stateEvent(taskId, 'queued', 0));
    const tries = await Promise.allSettled(
      Array.from({ length: 20 }, () => broker.publisher.publish(stateEvent(taskId, 'complete', seq))),
    );
    assert.equal(tries.filter(({ status }) => status === 'fulfilled').length, 1);
    for (const result of tries) if (result.status === 'rejected') assert.ok(isBrokerError(result.reason, 'conflict'));
  });

  it('refuses for good what is larger than a message may be, and nothing else for it', async () => {
    const subject = (n: number): string => SUBJECT.conversationLine(randomUUID(), String(n));
    const large = { subject: subject(0), payload: 'x'.repeat(broker.nc.info?.max_payload ?? 0), msgId: randomUUID() };
    await assert.rejects(broker.publisher.publish(large), { kind: 'refused', apiCode: TOO_LARGE });
    const batcher = new Batcher(broker.publisher);
    const small = Array.from({ length: 20 }, (_, n) => ({ subject: subject(n), payload: '{}' }));
    const results = await Promise.allSettled([large, ...small].map((each) => batcher.publish(each)));
    assert.deepEqual(
      results.map(({ status }) => status),
      ['rejected', ...small.map(() => 'fulfilled')],
    );
  });

  it('stores a batch whole, in order, or not at all', async () => {
    const taskId = randomUUID();
    const { seq } = await broker.publisher.publish(stateEvent(taskId, 'queued', 0));
    const output = (n: number, expected: number): Publication =>
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
        { filter: SUBJECT.taskStates(taskId), seq: expected },
      );
    const batch = [2, 3, 4].map((n) => output(n, seq));
    const ack = await broker.publisher.publishBatch(batch);
    const stored = [];
    for (let at = seq + 1; at <= ack.seq; at++)
      stored.push((await nextBySubject(broker, STREAM.events, SUBJECT.taskOutput(taskId), at))?.seq);
    assert.deepEqual(stored, [ack.seq - 2, ack.seq - 1, ack.seq]);
    await assert.rejects(broker.publisher.publishBatch(batch), (error) => isBrokerError(error, 'duplicate'));
    await assert.rejects(broker.publisher.publishBatch([output(5, seq), output(6, seq + 999)]), (error) =>
      isBrokerError(error, 'conflict'),
    );
    assert.equal((await lastBySubject(broker, STREAM.events, SUBJECT.taskOutput(taskId)))?.seq, ack.seq);
  });

  it('says that a stream is full, and takes more once there is room', async () => {
    const run = (): Promise<unknown> => {
      const id = randomUUID();
      return broker.publisher.publish({ subject: SUBJECT.run('default', 'low', id), payload: '{}' });
    };
    for (let i = 0; i < 20; i++) await run();
    await assert.rejects(run(), (error) => isBrokerError(error, 'full'));
    await broker.jsm.streams.purge(STREAM.commands);
    await run();
  });

  it('keeps a body too large for a message as a blob, byte for byte', async () => {
    const blobs = new Blobs(broker);
    const body = new TextEncoder().encode('é'.repeat(1_500_000));
    assert.equal(blobs.needed(body.length), true);
    assert.equal(blobs.needed(1_000), false);
    const ref = await blobs.put(`test/${randomUUID()}`, body);
    assert.deepEqual(Buffer.from(await blobs.get(ref)), Buffer.from(body));
    await blobs.delete(ref.name);
    await assert.rejects(blobs.get(ref), /not in the object store/);
  });

  it('reads and deletes blobs without a consumer, and leaves nothing of those deleted', async () => {
    const blobs = new Blobs(broker);
    const body = new Uint8Array(300_000).fill(7);
    const put = (name: string): Promise<unknown> => blobs.put(name, body);
    for (const name of ['event/a/1', 'event/a/2', 'event/b/1', 'event/c/1']) await put(name);
    assert.equal((await blobs.get({ name: 'event/a/1', size: body.length })).length, body.length);
    await blobs.delete('event/c/1');
    await blobs.delete('event/never');
    await blobs.deleteBelow('event/a/');
    await assert.rejects(blobs.get({ name: 'event/a/2', size: body.length }), /not in the object store/);
    const { state } = await broker.jsm.streams.info('OBJ_ksi_blobs', { subjects_filter: '>' });
    assert.equal(state.consumer_count, 0);
    assert.equal(Object.keys(state.subjects ?? {}).length, 2, 'the chunks and the name of the one that is left');
    // Readers of events use the library.
    const store = await new Objm(broker.js).open('ksi_blobs');
    assert.equal((await store.getBlob('event/b/1'))?.length, body.length);
    await blobs.delete('event/b/1');
    assert.equal(await store.getBlob('event/b/1').catch(() => null), null);
  });

  it('rejects at once what is under way when the broker dies, and works again when it is back', async () => {
    const lost = new Promise<void>((resolve) => {
      const stop = broker.onConnection((connected) => {
        if (!connected) return;
        stop();
        resolve();
      });
    });
    server.pause();
    const pending = broker.publisher.publish(stateEvent(randomUUID(), 'queued', 0), 60_000);
    const rejected = assert.rejects(pending, (error) => isBrokerError(error, 'unavailable'));
    await server.kill();
    await rejected;
    await server.restart();
    await lost;
    await broker.publisher.publish(stateEvent(randomUUID(), 'queued', 0));
  });

  it('has KSI start on a stream with other bounds and consumers of an earlier one', async () => {
    const config = readConfig({ KSI_QUEUE_MAX: '20' });
    const spec = streamSpecs(config).find(({ name }) => name === STREAM.events);
    await broker.jsm.streams.delete(STREAM.events);
    await broker.jsm.streams.add({ ...spec, name: STREAM.events, max_consumers: -1 } as unknown as { name: string });
    await broker.jsm.consumers.add(STREAM.events, { durable_name: 'answers', ack_policy: 'explicit' });
    await makeStreams(broker, config);
    assert.equal((await broker.jsm.streams.info(STREAM.events)).config.max_consumers, -1);
  });
});
