import assert from 'node:assert/strict';
import { it } from 'node:test';
import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { READERS_CONSUMERS } from '../../contracts/broker/topology.js';
import { lastBySubject } from '../../src/broker/read.js';
import { sleep, systemClock } from '../../src/clock.js';
import { startTestBroker } from '../fixtures/broker.js';
import { connectTest } from '../fixtures/connection.js';

const AT_ONCE = 100;

it('with as many consumers of readers as there may be, KSI_OUTCOMES goes on after a restart of the broker', async () => {
  const server = await startTestBroker({ sync: '1s' });
  const broker = await connectTest(server.url);
  try {
    for (let made = 0; made < READERS_CONSUMERS; made += AT_ONCE)
      await Promise.all(
        Array.from({ length: AT_ONCE }, (_, n) =>
          broker.jsm.consumers.add(STREAM.events, { durable_name: `reader-${made + n}`, ack_policy: 'explicit' }),
        ),
      );
    await assert.rejects(broker.jsm.consumers.add(STREAM.events, { durable_name: 'more', ack_policy: 'explicit' }));
    await server.kill();
    await server.restart();
    while (!broker.connected()) await sleep(systemClock, 20);
    await broker.publisher.publish({ subject: SUBJECT.ingest(SUBJECT.taskState('t', 'complete')), payload: '{}' });
    while ((await lastBySubject(broker, STREAM.outcomes, SUBJECT.outcome('t', 'complete'))) === undefined)
      await sleep(systemClock, 20);
  } finally {
    await broker.close();
    await server.stop();
  }
});
