import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { CONSUMER, STREAM } from '../../contracts/wire/names.js';
import { connectBroker, type Broker } from '../../src/broker/connect.js';
import { Puller, type Delivery, type PullEnd } from '../../src/broker/consume.js';
import { startTestCluster, type TestBrokerCluster } from '../fixtures/broker-cluster.js';
import { connectTest, silent } from '../fixtures/connection.js';
import { acceptTask, taskOf } from '../fixtures/session-queue-model.js';

/** Longer than anything that is waited for here: only the word of the consumer's next leader ends such a pull in time. */
const PARK_MS = 120_000;
const CONSUMER_NAME = CONSUMER.run('default', 'normal');

describe('a pull that waits, in a cluster of three', () => {
  let cluster: TestBrokerCluster;
  let any: Broker;
  let worker: Broker;
  before(async () => {
    cluster = await startTestCluster();
    any = await connectTest(cluster.url, { KSI_NATS_SERVERS: '3' });
  });
  after(async () => {
    await Promise.all([any.close(), worker.close()]);
    await cluster.stop();
  });

  it('is not lost with the leader of its consumer, on a connection to another server', async () => {
    const { cluster: raft } = await any.jsm.consumers.info(STREAM.commands, CONSUMER_NAME);
    const leader = Number(raft?.leader?.slice(1));
    const elsewhere = cluster.servers.filter((_, n) => n !== leader).map(({ url }) => url);
    worker = await connectBroker({ url: elsewhere.join(','), name: 'worker', log: silent });
    const ends: PullEnd[] = [];
    let ended: () => void = () => undefined;
    const unanswered = new Promise<void>((resolve) => (ended = resolve));
    let deliver: (delivery: Delivery) => void = () => undefined;
    const delivered = new Promise<Delivery>((resolve) => (deliver = resolve));
    const puller: Puller = new Puller({
      broker: worker,
      stream: STREAM.commands,
      consumer: CONSUMER_NAME,
      onDelivery: (delivery) => deliver(delivery),
      onEnd: (end) => {
        ends.push(end);
        ended();
        if (end !== 'message') puller.park(PARK_MS);
      },
    });
    puller.park(PARK_MS);
    await worker.nc.flush();
    await cluster.servers[leader]?.kill();
    await unanswered;
    assert.deepEqual(ends, ['unavailable']);
    const task = taskOf(randomUUID());
    await acceptTask(any, task);
    const delivery = await delivered;
    assert.equal(new TextDecoder().decode(delivery.data), task.payload);
    await puller.stop();
  });
});
