import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { StreamInfo } from '@nats-io/jetstream';
import { pino } from 'pino';
import { BrokerClock } from '../../src/broker/broker-clock.js';
import type { Clock } from '../../src/clock.js';

const log = pino({ level: 'silent' });
const BEGIN = 1_700_000_000_000;

/** A machine whose monotonic clock the test moves, and whose wall clock is 10 days ahead; and a broker with the right time. */
class Machine implements Clock {
  monotonicMs = 0;
  timers: { at: number; call: () => void }[] = [];
  now = (): number => BEGIN + this.monotonicMs + 10 * 86_400_000;
  monotonic = (): number => this.monotonicMs;
  after = (ms: number, call: () => void): (() => void) => {
    const timer = { at: this.monotonicMs + ms, call };
    this.timers.push(timer);
    return () => (this.timers = this.timers.filter((other) => other !== timer));
  };
  deadline = (): AbortSignal => new AbortController().signal;

  /** Fires the next timer, when it is due. */
  async next(): Promise<void> {
    const timer = this.timers.shift();
    assert.ok(timer !== undefined);
    this.monotonicMs = timer.at;
    timer.call();
    await new Promise(setImmediate);
  }
}

describe("the broker's time", () => {
  it('is not known before the broker has answered', async () => {
    const machine = new Machine();
    let down = true;
    const info = (): Promise<StreamInfo> =>
      down ? Promise.reject(new Error('no leader')) : Promise.resolve({ ts: new Date(BEGIN).toISOString() } as never);
    const clock = new BrokerClock({ info }, machine, log);
    const known = clock.known();
    await new Promise(setImmediate);
    assert.throws(() => clock.now(), /not known yet/);
    down = false;
    await machine.next();
    await known;
    assert.equal(clock.now(), BEGIN);
    assert.equal(clock.ahead(), 10 * 86_400_000 + machine.monotonicMs);
    await clock.stop();
  });

  it('is measured with half the round trip, and ignores slow answers', async () => {
    const machine = new Machine();
    let tripMs = 200;
    let aheadMs = 0;
    const info = (): Promise<StreamInfo> => {
      machine.monotonicMs += tripMs / 2;
      const ts = new Date(BEGIN + machine.monotonicMs + aheadMs).toISOString();
      machine.monotonicMs += tripMs / 2;
      return Promise.resolve({ ts } as never);
    };
    const clock = new BrokerClock({ info }, machine, log);
    await clock.known();
    assert.equal(clock.now(), BEGIN + machine.monotonicMs);
    machine.monotonicMs += 5_000;
    assert.equal(clock.now(), BEGIN + machine.monotonicMs, 'in between it goes on with the monotonic clock');
    aheadMs = 3_000;
    tripMs = 30_000;
    await machine.next();
    assert.equal(clock.now(), BEGIN + machine.monotonicMs);
    tripMs = 0;
    await machine.next();
    assert.equal(clock.now(), BEGIN + machine.monotonicMs + 3_000, 'a broker whose clock was set is followed');
    await clock.stop();
    assert.deepEqual(machine.timers, []);
  });

  it('does not jump because of an answer that is slow in one direction, and uses a better answer', async () => {
    const machine = new Machine();
    let [there, back] = [1_000, 10];
    const info = (): Promise<StreamInfo> => {
      machine.monotonicMs += there;
      const ts = new Date(BEGIN + machine.monotonicMs).toISOString();
      machine.monotonicMs += back;
      return Promise.resolve({ ts } as never);
    };
    const clock = new BrokerClock({ info }, machine, log);
    await clock.known();
    assert.equal(clock.now(), BEGIN + machine.monotonicMs + 495, 'nothing better is known');
    [there, back] = [2, 2];
    await machine.next();
    assert.equal(clock.now(), BEGIN + machine.monotonicMs);
    for ([there, back] of [
      [1_800, 2],
      [2, 1_800],
    ] as const) {
      await machine.next();
      assert.equal(clock.now(), BEGIN + machine.monotonicMs);
    }
    await clock.stop();
  });

  it('stops waiting when the signal aborts', async () => {
    const clock = new BrokerClock({ info: () => Promise.reject(new Error('no leader')) }, new Machine(), log);
    const ending = new AbortController();
    const known = clock.known(ending.signal);
    await new Promise(setImmediate);
    ending.abort(new Error('enough'));
    await assert.rejects(known, /enough/);
  });
});
