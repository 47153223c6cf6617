import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { HEADER, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { Blobs } from '../../src/broker/blobs.js';
import type { Broker } from '../../src/broker/connect.js';
import { newEvent, eventPublication } from '../../src/broker/events.js';
import { lastBySubject, streamPosition } from '../../src/broker/read.js';
import { EventHub } from '../../src/events/hub.js';
import { readStream } from '../../src/broker/replay.js';
import { retryWhileUnavailable } from '../../src/broker/until-known.js';
import { startTestCluster, type TestBrokerCluster } from '../fixtures/broker-cluster.js';
import { connectTest, silent } from '../fixtures/connection.js';
import { systemClock } from '../../src/clock.js';

describe('events, in a cluster of three', () => {
  let cluster: TestBrokerCluster;
  let broker: Broker;
  let hub: EventHub;
  const seqs: number[] = [];
  let resets = 0;
  before(async () => {
    cluster = await startTestCluster();
    broker = await connectTest(cluster.url, { KSI_NATS_SERVERS: '3' });
    hub = new EventHub(broker, new Blobs(broker), silent);
    hub.subscribe(({ seq }) => seqs.push(seq));
    hub.onReset(() => resets++);
    await hub.start();
  });
  after(async () => {
    await hub.stop();
    await broker.close();
    await cluster.stop();
  });

  /** Stores events one after the other, through whatever happens. @returns their sequences. */
  const store = async (count: number): Promise<number[]> => {
    const stored: number[] = [];
    const signal = AbortSignal.timeout(60_000);
    for (let n = 0; n < count; n++) {
      const event = newEvent(systemClock, 'WORKER_ONLINE', { worker_id: `w_${n}` } as never);
      const publication = eventPublication(event, SUBJECT.workerEvent(`w_${n}`, 'online'));
      // Under one message id: what was stored, though the acknowledgement was lost, is not stored again.
      stored.push((await retryWhileUnavailable(broker, signal, () => broker.publisher.publish(publication))).seq);
    }
    return stored;
  };

  const heardUpTo = (seq: number): Promise<void> =>
    new Promise((resolve) => {
      if (hub.position.seq >= seq) return resolve();
      const leave = hub.subscribe((event) => {
        if (event.seq < seq) return;
        leave();
        resolve();
      });
    });

  const assertContiguous = (): void =>
    assert.deepEqual(
      seqs,
      Array.from(seqs, (_, index) => index + 1),
    );

  it('reach a hub without a gap or a repeat while the leader of the stream, which republishes them, is killed', async () => {
    const begun = await store(200);
    const leader = await cluster.leaderOf(STREAM.events);
    const going = store(300);
    await cluster.servers[leader]?.kill();
    const stored = [...begun, ...(await going)];
    await cluster.servers[leader]?.restart();
    const { lastSeq } = await streamPosition(broker, STREAM.events);
    await heardUpTo(lastSeq);
    assertContiguous();
    assert.equal(new Set(stored).size, 500);
    assert.equal(lastSeq, 500);
    await cluster.healthy();
  });

  it('are not begun anew for a leader that was deposed while it stood still', async () => {
    const leader = await cluster.leaderOf(STREAM.events);
    cluster.servers[leader]?.pause();
    await store(200);
    cluster.servers[leader]?.resume();
    await store(200);
    const { lastSeq } = await streamPosition(broker, STREAM.events);
    await heardUpTo(lastSeq);
    assertContiguous();
    assert.equal(resets, 0);
    await cluster.healthy();
  });

  it('are begun anew only when the stream stays behind what came from it', async () => {
    let lying = false;
    let left = 0;
    let heard: () => void = () => undefined;
    const info: Broker['jsm']['streams']['info'] = async (...args) => {
      const told = await broker.jsm.streams.info(...args);
      if (--left === 0) heard();
      return lying ? { ...told, state: { ...told.state, last_seq: told.state.last_seq - 1 } } : told;
    };
    const answers = (count: number): Promise<void> =>
      new Promise((resolve) => {
        left = count;
        heard = resolve;
      });
    const streams = new Proxy(broker.jsm.streams, {
      get: (object, name) => (name === 'info' ? info : (Reflect.get(object, name, object) as unknown)),
    });
    const jsm = new Proxy(broker.jsm, {
      get: (object, name) => (name === 'streams' ? streams : (Reflect.get(object, name, object) as unknown)),
    });
    const other = new EventHub({ ...broker, jsm }, new Blobs(broker), silent);
    let begun = 0;
    const again = new Promise<void>((resolve) => {
      other.onReset(() => {
        begun++;
        resolve();
      });
    });
    await other.start();
    try {
      lying = true;
      await answers(2);
      lying = false;
      await answers(2);
      assert.equal(begun, 0);
      lying = true;
      await again;
    } finally {
      await other.stop();
    }
  });

  it('are read from the leader where a procedure depends on them, and replayed to the end though replicas lag', async () => {
    for (let round = 0; round < 100; round++) {
      const event = newEvent(systemClock, 'WORKER_ONLINE', { worker_id: 'w_last' } as never);
      const subject = SUBJECT.workerEvent('w_last', 'online');
      const { seq } = await broker.publisher.publish(eventPublication(event, subject));
      const last = await lastBySubject(broker, STREAM.events, subject);
      assert.equal(last?.header(HEADER.msgId), event.id);
      let replayed = 0;
      for await (const stored of readStream(broker, STREAM.events, subject, 0, seq)) replayed = stored.seq;
      assert.equal(replayed, seq);
    }
  });
});
