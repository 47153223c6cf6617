import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { CONSUMER, HEADER, RUN_PRIORITIES, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import type { Broker } from '../../src/broker/connect.js';
import { Puller, type Delivery } from '../../src/broker/consume.js';
import { lastBySubject } from '../../src/broker/read.js';
import { promote, releaseSession } from '../../src/broker/session-queue.js';
import { startTestCluster, type TestBrokerCluster } from '../fixtures/broker-cluster.js';
import { startTestBroker, type TestBroker } from '../fixtures/broker.js';
import { connectTest } from '../fixtures/connection.js';
import { acceptTask, completeTask, runSessionQueueModel, taskOf } from '../fixtures/session-queue-model.js';

const SEED = Number(process.env['KSI_TEST_SEED'] ?? 20_261_123);

/** Kills the broker and brings it back; of a cluster, the server that leads the queue. */
const killOnce = async (server: TestBroker | TestBrokerCluster): Promise<void> => {
  const dying = 'servers' in server ? server.servers[await server.leaderOf(STREAM.commands)] : server;
  await dying?.kill();
  await dying?.restart();
};

for (const { name, servers, start } of [
  { name: 'one nats-server', servers: 1, start: () => startTestBroker({ sync: '1s' }) },
  { name: 'a cluster of three', servers: 3, start: startTestCluster },
])
  describe(`one run per session, on ${name}`, () => {
    let server: TestBroker;
    let broker: Broker;
    before(async () => {
      server = await start();
      broker = await connectTest(server.url, { KSI_LEASE_S: '2', KSI_NATS_SERVERS: String(servers) });
    });
    after(async () => {
      await broker.close();
      await server.stop();
    });

    it('refuses a second run, queues it behind the first and promotes it when that ends', async () => {
      const sessionId = randomUUID();
      const [first, second, third] = [taskOf(sessionId), taskOf(sessionId), taskOf(sessionId)];
      assert.equal(await acceptTask(broker, first), 'run');
      assert.equal(await acceptTask(broker, second), 'waiting');
      assert.equal(await acceptTask(broker, third), 'waiting');
      assert.equal(await promote(broker, sessionId), undefined, 'while the run stands nothing is promoted');
      assert.equal(await promote(broker, sessionId, first.taskId), undefined, 'nor while it has no outcome');
      await completeTask(broker, first);
      const deliveries = await takeAll(broker);
      const run = deliveries.find((delivery) => delivery.header(HEADER.taskId) === first.taskId);
      assert.ok(run);
      await releaseSession(broker, sessionId, first.taskId, () => run.ack());
      const next = await lastBySubject(broker, STREAM.commands, SUBJECT.sessionRuns(sessionId));
      assert.equal(next?.header(HEADER.taskId), second.taskId);
      assert.equal(next?.subject, SUBJECT.run('default', 'next', sessionId));
      await broker.jsm.streams.purge(STREAM.commands);
    });

    for (const when of ['before', 'after'] as const)
      it(`promotes who came ${when} the look again, while the acknowledged run still stood`, async () => {
        const sessionId = randomUUID();
        const [first, second] = [taskOf(sessionId), taskOf(sessionId)];
        await acceptTask(broker, first);
        const [run] = await takeAll(broker);
        assert.ok(run);
        await completeTask(broker, first);
        const come = async (): Promise<void> => {
          assert.equal(await acceptTask(broker, second), 'waiting');
          assert.equal(await promote(broker, sessionId), undefined, 'the run is seen');
        };
        let gone: Promise<void> | undefined;
        await releaseSession(broker, sessionId, first.taskId, async () => {
          // A cluster that takes its time to remove what it has confirmed.
          if (when === 'before') await come();
          gone = (when === 'before' ? Promise.resolve() : come()).then(() => run.ack());
        });
        await gone;
        const next = await lastBySubject(broker, STREAM.commands, SUBJECT.sessionRuns(sessionId));
        assert.equal(next?.header(HEADER.taskId), second.taskId);
        await broker.jsm.streams.purge(STREAM.commands);
      });

    it(`holds with crashes between any two steps, and a kill of the broker (seed ${SEED})`, async () => {
      const disturb = (): Promise<void> => killOnce(server);
      const { sessions, crashes } = await runSessionQueueModel({
        broker,
        seed: SEED,
        tasks: 48,
        sessions: 8,
        disturb,
      });
      for (const { ran, accepted } of sessions) {
        const order = ran.map(({ taskId }) => taskId);
        assert.deepEqual(order, accepted, 'every task once, in the order asked for');
      }
      assert.ok(crashes > 15, `only ${crashes} crashes were tried`);
    });
  });

/** Takes whatever stands in the lanes now. */
async function takeAll(broker: Broker): Promise<Delivery[]> {
  const taken: Delivery[] = [];
  for (const runPriority of RUN_PRIORITIES) {
    const puller = new Puller({
      broker,
      stream: STREAM.commands,
      consumer: CONSUMER.run('default', runPriority),
      onDelivery: (delivery) => taken.push(delivery),
      onEnd: () => undefined,
    });
    while ((await puller.tryNow()) === 'message');
    await puller.stop();
  }
  return taken;
}
