import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { v4 as uuidv4, v7 as uuidv7 } from 'uuid';
import { HEADER, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { connectBroker, type Broker } from '../../src/broker/connect.js';
import { brokerErrorOf, isBrokerError } from '../../src/broker/errors.js';
import type { Publication } from '../../src/broker/publish.js';
import { lastBySubject, nextBySubject } from '../../src/broker/read.js';
import { publishUntilKnown } from '../../src/broker/until-known.js';
import { startTestCluster, type TestBrokerCluster } from '../fixtures/broker-cluster.js';
import { connectTest, silent } from '../fixtures/connection.js';

const ROUNDS = 60;

/** An event of a task under its fence. What is in it matters to nobody here. */
type Guarded = Publication & { msgId: string; expect: { filter: string; seq: number } };
const guarded = (taskId: string, subject: string, seq: number, payload: string): Guarded => ({
  subject: SUBJECT.ingest(subject),
  payload,
  msgId: uuidv7(),
  expect: { filter: SUBJECT.taskStates(taskId), seq },
});
const state = (taskId: string, token: string, seq: number, payload = token): Guarded =>
  guarded(taskId, SUBJECT.taskState(taskId, token), seq, payload);
const output = (taskId: string, seq: number, payload: string): Guarded =>
  guarded(taskId, SUBJECT.taskOutput(taskId), seq, payload);

describe('the fence, in a cluster of three', () => {
  let cluster: TestBrokerCluster;
  /** One at each server. */
  let brokers: Broker[];
  before(async () => {
    cluster = await startTestCluster();
    await (await connectTest(cluster.url, { KSI_NATS_SERVERS: '3' })).close();
    brokers = await Promise.all(cluster.servers.map(({ url }) => connectBroker({ url, name: 'test', log: silent })));
  });
  after(async () => {
    await Promise.all(brokers.map((broker) => broker.close()));
    await cluster.stop();
  });

  const conflicts = (results: readonly PromiseSettledResult<unknown>[]): number =>
    results.filter((result) => result.status === 'rejected' && isBrokerError(result.reason, 'conflict')).length;
  const winners = (results: readonly PromiseSettledResult<unknown>[]): number =>
    results.filter(({ status }) => status === 'fulfilled').length;

  /** All that is stored of a task, in order. */
  async function stored(taskId: string): Promise<string[]> {
    const [broker] = brokers;
    assert.ok(broker);
    const bodies: string[] = [];
    for (let seq = 1; ;) {
      const next = await nextBySubject(broker, STREAM.events, SUBJECT.taskAll(taskId), seq);
      if (next === undefined) return bodies;
      bodies.push(new TextDecoder().decode(next.data));
      seq = next.seq + 1;
    }
  }

  it('says conflict by two codes', () => {
    for (const code of [10071, 10164]) assert.equal(brokerErrorOf({ err_code: code }).kind, 'conflict');
  });

  it('lets exactly one of several win that publish at once with one filter, and tells the others for good', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const taskId = uuidv4();
      const results = await Promise.allSettled(
        [...brokers, ...brokers].map((broker, n) => broker.publisher.publish(state(taskId, 'start', 0, String(n)))),
      );
      assert.deepEqual([winners(results), conflicts(results)], [1, 5]);
      assert.equal((await stored(taskId)).length, 1);
    }
  });

  it('refuses what an attempt publishes while it is taken over, one by one and in batches', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const taskId = uuidv4();
      const [first, second, third] = brokers;
      assert.ok(first && second && third);
      const { seq } = await first.publisher.publish(state(taskId, 'start', 0, 'start 1'));
      const stale = (n: number): Promise<unknown> =>
        n % 2 === 0
          ? first.publisher.publishBatch([output(taskId, seq, '1'), output(taskId, seq, '1')])
          : third.publisher.publish(output(taskId, seq, '1'));
      const before = stale(round);
      const takeover = second.publisher.publish(state(taskId, 'retry', seq));
      const during = [stale(round + 1), first.publisher.publish(state(taskId, 'complete', seq, 'outcome 1'))];
      const raced = await Promise.allSettled([before, takeover, ...during]);
      const last = await lastBySubject(second, STREAM.events, SUBJECT.taskStates(taskId));
      const results = await Promise.allSettled([stale(0), stale(1)]);
      assert.equal(conflicts(results), 2);
      // Of the two that change the state, one; and nothing of the attempt after it.
      const bodies = await stored(taskId);
      const states = bodies.filter((body) => body !== '1');
      assert.equal(states.length, 2, states.join());
      assert.equal(bodies.at(-1), new TextDecoder().decode(last?.data));
      assert.equal(winners(raced) + conflicts(raced), 4);
    }
  });

  it('holds right after the leader of the stream was killed', async () => {
    const signal = AbortSignal.timeout(60_000);
    const tasks = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const taskId = uuidv4();
        const { seq } = await (brokers[0] as Broker).publisher.publish(state(taskId, 'start', 0, 'start 1'));
        return { taskId, seq };
      }),
    );
    const leader = await cluster.leaderOf(STREAM.events);
    const race = ({ taskId, seq }: { taskId: string; seq: number }): Promise<unknown> =>
      Promise.all([
        ...brokers.map((broker, n) =>
          publishUntilKnown(broker, STREAM.events, state(taskId, 'retry', seq, `retry ${n}`), signal),
        ),
        publishUntilKnown(brokers[1] as Broker, STREAM.events, state(taskId, 'complete', seq, 'outcome 1'), signal),
      ]).then((seqs) => {
        assert.equal(seqs.filter((won) => won !== undefined).length, 1, 'one is told that it was first');
        return seqs;
      });
    // Half of them on their way when it dies.
    const racing = tasks.slice(0, 10).map(race);
    await cluster.servers[leader]?.kill();
    await Promise.all([...racing, ...tasks.slice(10).map(race)]);
    await cluster.servers[leader]?.restart();
    await cluster.healthy();
    for (const { taskId, seq } of tasks) {
      assert.equal((await stored(taskId)).length, 2);
      const results = await Promise.allSettled(
        brokers.map((broker) => broker.publisher.publish(output(taskId, seq, 'late'))),
      );
      assert.equal(conflicts(results), 3);
    }
  });

  it('knows its own event again when the acknowledgement was lost', async () => {
    const taskId = uuidv4();
    const [first, second] = brokers;
    assert.ok(first && second);
    const mine = state(taskId, 'start', 0);
    const { seq } = await first.publisher.publish(mine);
    assert.equal(await publishUntilKnown(second, STREAM.events, mine, AbortSignal.timeout(10_000)), seq);
    const last = await lastBySubject(second, STREAM.events, SUBJECT.taskStates(taskId));
    assert.equal(last?.header(HEADER.msgId), mine.msgId);
  });
});
