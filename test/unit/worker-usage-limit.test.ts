import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import pino from 'pino';
import type { Broker } from '../../src/broker/connect.js';
import { UsageLimit } from '../../workers/queue/usage-limit.js';

const DAY = 86_400_000;

describe('a usage limit', () => {
  it('lasts longer than a Node timer can run', async () => {
    let now = 0;
    let timer: { ms: number; call: () => void } | undefined;
    let held = 0;
    const clock = {
      now: () => now,
      after: (ms: number, call: () => void) => {
        timer = { ms, call };
        return () => (timer = undefined);
      },
    };
    const limit = new UsageLimit({
      broker: { clock, publisher: { publish: () => Promise.resolve(1) } } as unknown as Broker,
      workerId: 'w_000000000000',
      env: {},
      slots: {
        pause: () => {
          held += 1;
          return () => (held -= 1);
        },
      },
      onEnd: () => undefined,
      random: () => 0,
      log: pino({ level: 'silent' }),
    });
    await limit.reached(7 * DAY);
    while (timer !== undefined) {
      const { ms, call } = timer;
      assert.ok(ms < 2 ** 31);
      assert.equal(held, 1);
      timer = undefined;
      now += ms;
      call();
    }
    assert.deepEqual([now, held, limit.until], [7 * DAY, 0, undefined]);
    await limit.reached(Date.parse('+113000-01-01T00:00:00Z'));
    assert.equal(limit.until, now + 8 * DAY, 'an absurd time is cut to the longest that a limit of Claude lasts');
  });
});
