import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { TimeLimit } from '../../workers/attempt/time-limit.js';

interface Held {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
}

function held(): Held {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((done) => (resolve = done));
  return { promise, resolve };
}

/** A limit of 10 ms, and 100 ms in all, by a clock that is moved by hand. */
function made() {
  let now = 0;
  let over = 0;
  const timers = new Set<{ readonly at: number; readonly call: () => void }>();
  const clock = {
    monotonic: () => now,
    after: (ms: number, call: () => void) => {
      const timer = { at: now + ms, call };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
  };
  const limit = new TimeLimit({ clock, ms: 10, mostMs: 100, onOver: () => (over += 1) });
  const pass = (ms: number): void => {
    now += ms;
    for (const timer of timers) if (timer.at <= now && timers.delete(timer)) timer.call();
  };
  return { limit, pass, over: () => over, timers: () => timers.size };
}

describe('the time limit of an attempt', () => {
  it('ends the attempt when its time is up', () => {
    const { pass, over } = made();
    pass(9);
    assert.equal(over(), 0);
    pass(1);
    assert.equal(over(), 1);
  });

  it('does not count the time that approvals wait, however many wait at once', async () => {
    const { limit, pass, over } = made();
    pass(6);
    const asked = [held(), held()];
    for (const { promise } of asked) limit.hold(promise);
    pass(50);
    asked[0]?.resolve();
    await Promise.resolve();
    pass(20);
    assert.equal(over(), 0);
    asked[1]?.resolve();
    await Promise.resolve();
    pass(3);
    assert.equal(over(), 0);
    pass(1);
    assert.equal(over(), 1);
  });

  it('is limited nevertheless', () => {
    const { limit, pass, over } = made();
    limit.hold(new Promise(() => undefined));
    pass(100);
    assert.equal(over(), 1);
  });

  it('leaves no timer behind', async () => {
    const { limit, timers } = made();
    const { promise, resolve } = held();
    limit.hold(promise);
    limit.stop();
    resolve();
    await promise;
    await Promise.resolve();
    assert.equal(timers(), 0);
  });
});
