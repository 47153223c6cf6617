import assert from 'node:assert/strict';
import { getEventListeners, once } from 'node:events';
import { describe, it } from 'node:test';
import { onAbort } from '../../src/abort.js';
import { pause } from '../../src/client/backoff.js';
import { linked } from '../../src/client/linked.js';
import { sleep, systemClock } from '../../src/clock.js';

const WAITS = 40;
const LONG_MS = 60_000;

describe('many waits on one signal', () => {
  const ways: Record<string, (signal: AbortSignal) => Promise<unknown>> = {
    sleep: (signal) => sleep(systemClock, LONG_MS, signal),
    pause: (signal) => pause(LONG_MS, signal),
    linked: (signal) => once(linked(signal).signal, 'abort').then(() => Promise.reject(signal.reason)),
  };
  for (const [name, wait] of Object.entries(ways))
    it(`use one listener: ${name}`, async () => {
      const aborter = new AbortController();
      const waits = Array.from({ length: WAITS }, () => wait(aborter.signal));
      assert.equal(getEventListeners(aborter.signal, 'abort').length, 1);
      const reason = new Error('over');
      aborter.abort(reason);
      for (const each of await Promise.allSettled(waits))
        assert.equal(each.status === 'rejected' && each.reason, reason);
    });

  it('leave no listener after they have ended', async () => {
    const { signal } = new AbortController();
    await Promise.all(Array.from({ length: WAITS }, () => sleep(systemClock, 1, signal)));
    await Promise.all(Array.from({ length: WAITS }, () => pause(1, signal)));
    linked(signal, signal).release();
    assert.deepEqual(getEventListeners(signal, 'abort'), []);
  });

  it('are all called, even if one throws', async () => {
    const aborter = new AbortController();
    const called: string[] = [];
    const thrown = new Error('of a listener');
    // The test runner's own listener takes it for a failure of this test.
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    const uncaught = once(process, 'uncaughtException');
    onAbort(aborter.signal, () => {
      throw thrown;
    });
    onAbort(aborter.signal, () => called.push('second'));
    aborter.abort();
    const [error] = (await uncaught) as [Error];
    for (const listener of listeners) process.on('uncaughtException', listener);
    assert.equal(error, thrown);
    assert.deepEqual(called, ['second']);
  });

  it('are each called once, unless they were removed', () => {
    const aborter = new AbortController();
    const called: string[] = [];
    const call = (): number => called.push('same');
    onAbort(aborter.signal, call);
    onAbort(aborter.signal, call);
    onAbort(aborter.signal, () => called.push('off'))();
    aborter.abort();
    onAbort(aborter.signal, () => called.push('late'));
    assert.deepEqual(called, ['same', 'same']);
  });
});
