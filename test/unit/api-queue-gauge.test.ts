import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { QueueCapacity } from '../../src/tasks/accept/queue-capacity.js';
import type { Broker } from '../../src/broker/connect.js';
import { silent } from '../fixtures/connection.js';

interface Standing {
  /** Tasks of the queue `default`. */
  tasks: number;
  bytes: number;
}

/** A command stream in which so much stands; other queues have nothing. */
function streamOf(stored: Standing): Broker {
  const streams = { info: async () => ({ state: { bytes: stored.bytes } }) };
  const consumers = {
    info: async (_stream: string, name: string) => ({
      num_pending: name.includes('default') && name.includes('normal') ? stored.tasks : 0,
      num_ack_pending: 0,
    }),
  };
  return { jsm: { streams, consumers } } as unknown as Broker;
}

const gaugeOf = (stored: Standing): QueueCapacity =>
  new QueueCapacity(
    streamOf(stored),
    { KSI_QUEUES: 'default,other', KSI_QUEUE_MAX: 10, KSI_QUEUE_MAX_BYTES: 1_000 },
    silent,
  );

describe('the queue capacity', () => {
  it('reserves a tenth of a queue for promotions and retries of dead letters, and counts each queue separately', async () => {
    const takeAt = async (tasks: number, queue = 'default'): Promise<boolean> => {
      const gauge = gaugeOf({ tasks, bytes: 0 });
      await gauge.refresh();
      return gauge.reserve(queue, 1);
    };
    assert.equal(await takeAt(8), true);
    assert.equal(await takeAt(9), false);
    assert.equal(await takeAt(9, 'other'), true);
  });

  it('counts reservations since the last reading', async () => {
    const gauge = gaugeOf({ tasks: 7, bytes: 0 });
    await gauge.refresh();
    assert.deepEqual([await gauge.reserve('default', 1), await gauge.reserve('default', 1)], [true, true]);
    assert.equal(gauge.standing, 9);
  });

  it('refuses tasks that would leave less than a tenth of the bytes', async () => {
    const gauge = gaugeOf({ tasks: 0, bytes: 800 });
    await gauge.refresh();
    assert.equal(await gauge.reserve('default', 101), false);
    assert.equal(await gauge.reserve('default', 100), true);
  });

  it('reports that no queue accepts a task, and reads the counts again each time', async () => {
    const stored = { tasks: 0, bytes: 899 };
    const gauge = gaugeOf(stored);
    await gauge.refresh();
    assert.equal(gauge.full(), undefined);
    stored.bytes = 900;
    await gauge.refresh();
    assert.match(gauge.full() ?? '', /contain 900 bytes/);
    const one = new QueueCapacity(
      streamOf({ tasks: 9, bytes: 0 }),
      { KSI_QUEUES: 'default', KSI_QUEUE_MAX: 10, KSI_QUEUE_MAX_BYTES: 1_000 },
      silent,
    );
    await one.refresh();
    assert.match(one.full() ?? '', /Every queue is full: 9 tasks/);
    const two = gaugeOf({ tasks: 9, bytes: 0 });
    await two.refresh();
    assert.equal(two.full(), undefined, 'the other queue takes tasks');
  });

  it('does not refuse tasks because of an outdated count', async () => {
    const stored = { tasks: 10, bytes: 0 };
    const gauge = gaugeOf(stored);
    await gauge.refresh();
    stored.tasks = 0;
    assert.equal(await gauge.reserve('default', 1), true);
  });
});
