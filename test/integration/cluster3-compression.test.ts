import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import type { StreamConfig } from '@nats-io/jetstream';
import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { streamSpecs } from '../../contracts/broker/topology.js';
import { connectBroker, type Broker } from '../../src/broker/connect.js';
import { eventPublication, newEvent } from '../../src/broker/events.js';
import { readConfig } from '../../src/config/load.js';
import { readStream } from '../../src/broker/replay.js';
import { retryWhileUnavailable } from '../../src/broker/until-known.js';
import { startTestCluster, type TestBrokerCluster } from '../fixtures/broker-cluster.js';
import { makeStreams, silent } from '../fixtures/connection.js';
import { systemClock } from '../../src/clock.js';

const CONFIG = readConfig({ KSI_NATS_SERVERS: '3' });
const KILLS = 2;
const EVENTS_PER_KILL = 60;
const BYTES = 100_000;

describe('streams that an earlier KSI compressed, in a cluster of three', () => {
  let cluster: TestBrokerCluster;
  let broker: Broker;
  before(async () => {
    cluster = await startTestCluster();
    broker = await connectBroker({ url: cluster.url, name: 'test', log: silent });
    for (const spec of streamSpecs(CONFIG))
      if (spec['compression'] !== undefined)
        await broker.jsm.streams.add({ ...spec, compression: 's2' } as unknown as Partial<StreamConfig> & {
          name: string;
        });
  });
  after(async () => {
    await broker.close();
    await cluster.stop();
  });

  const store = async (count: number): Promise<void> => {
    const signal = AbortSignal.timeout(60_000);
    for (let n = 0; n < count; n++) {
      // Half of it can be compressed.
      const text = randomBytes(BYTES / 4).toString('hex') + 'x'.repeat(BYTES / 2);
      const event = newEvent(systemClock, 'WORKER_ONLINE', { worker_id: 'w', text } as never);
      const publication = eventPublication(event, SUBJECT.workerEvent('w', 'online'));
      await retryWhileUnavailable(broker, signal, () => broker.publisher.publish(publication));
    }
  };

  it('are compressed no more once the topology is made, and survive kills of their leader', async () => {
    await store(EVENTS_PER_KILL);
    await makeStreams(broker, CONFIG);
    for (const { name } of streamSpecs(CONFIG))
      assert.equal((await broker.jsm.streams.info(name)).config.compression, 'none', name);
    for (let kill = 0; kill < KILLS; kill++) {
      const storing = store(EVENTS_PER_KILL);
      const leader = cluster.servers[await cluster.leaderOf(STREAM.events)];
      await leader?.kill();
      await storing;
      await leader?.restart();
      await cluster.healthy();
    }
    const total = EVENTS_PER_KILL * (KILLS + 1);
    // Each copy is read: the server that leads answers.
    for (let n = 0; n < cluster.servers.length; n++) {
      let read = 0;
      for await (const stored of readStream(broker, STREAM.events, SUBJECT.eventsAll, 0, total))
        read += stored.data.length > BYTES ? 1 : 0;
      assert.equal(read, total);
      await broker.nc.request(`$JS.API.STREAM.LEADER.STEPDOWN.${STREAM.events}`, '', { timeout: 5_000 });
      await cluster.leaderOf(STREAM.events);
    }
  });
});
