import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { QueueGauge } from '../../src/api/accept/queue-gauge.js';
import type { Broker } from '../../src/broker/connect.js';
import { silent } from '../fixtures/connection.js';

/** A command stream of so many messages. */
function streamOf(messages: () => number): Broker {
  const info = async (): Promise<unknown> => ({
    created: '',
    state: { first_seq: 1, last_seq: 1, messages: messages() },
  });
  return { jsm: { streams: { info } } } as unknown as Broker;
}

describe('the queue gauge', () => {
  it('leaves the last tenth to promotions and put-backs', async () => {
    const takeAt = async (messages: number): Promise<boolean> => {
      const gauge = new QueueGauge(
        streamOf(() => messages),
        10,
        silent,
      );
      await gauge.refresh();
      return gauge.take();
    };
    assert.equal(await takeAt(8), true);
    assert.equal(await takeAt(9), false);
  });

  it('refuses nobody by a figure that has grown old', async () => {
    let messages = 10;
    const gauge = new QueueGauge(
      streamOf(() => messages),
      10,
      silent,
    );
    await gauge.refresh();
    messages = 0;
    assert.equal(await gauge.take(), true);
  });
});
