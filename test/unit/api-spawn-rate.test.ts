import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RateReport, type RateCount } from '../../contracts/access/rates.js';
import { check } from '../../contracts/wire/check.js';
import { ApiError } from '../../src/errors/api-error.js';
import { LOCAL } from '../../src/access/principal.js';
import { leftOf, RateCounts } from '../../src/access/rates/counts.js';
import { REPORT_MS } from '../../src/access/rates/gossip.js';
import { rateHeaders, SpawnRateLimiter } from '../../src/access/rates/limiter.js';
import type { Broker } from '../../src/broker/connect.js';
import { silent } from '../fixtures/connection.js';

const MINUTE = 60_000;
/** The beginning of a minute, and of an hour. */
const BEGIN = 1_000_000 * 60 * MINUTE;
const RATE = { quota: 3, windowS: 60 } as const;

describe('counts of spawns', () => {
  const count = (more: Partial<RateCount> = {}): RateCount => ({
    api: 'b',
    token_id: 't',
    window_s: 60,
    window: BEGIN / MINUTE,
    taken: 1,
    ...more,
  });
  const took = (counts: RateCounts, now = BEGIN, token = 't'): boolean => counts.take(token, RATE, now).taken;

  it('end with their window of wall-clock time and are counted per token', () => {
    const counts = new RateCounts('a');
    assert.deepEqual(
      [0, 1, MINUTE - 1, MINUTE - 1].map((ms) => took(counts, BEGIN + ms)),
      [true, true, true, false],
    );
    assert.equal(took(counts, BEGIN, 'another'), true);
    assert.equal(took(counts, BEGIN + MINUTE), true);
    assert.deepEqual([leftOf(RATE, BEGIN), leftOf(RATE, BEGIN + MINUTE - 1)], [MINUTE, 1]);
  });

  it('are the sums of all APIs, however often and in whatever order they arrive', () => {
    const counts = new RateCounts('a');
    for (const taken of [1, 2, 1, 2]) counts.hear([count({ taken })], BEGIN);
    assert.deepEqual(counts.take('t', RATE, BEGIN), { taken: true, total: 3 });
    assert.deepEqual(counts.take('t', RATE, BEGIN), { taken: false, total: 3 });
    counts.hear([count({ api: 'c', taken: 9 })], BEGIN);
    assert.deepEqual(counts.take('t', RATE, BEGIN), { taken: false, total: 12 });
  });

  it('are ignored if they are from the past or the far future, and kept if a clock is slightly ahead', () => {
    const counts = new RateCounts('a');
    const { window } = count();
    counts.hear([count({ window: window - 1 }), count({ window: window + 1, taken: 3 })], BEGIN);
    counts.hear([count({ window: window + 2, taken: 3 }), count({ window_s: 3_600, taken: 3 })], BEGIN);
    assert.equal(took(counts), true);
    assert.equal(took(counts, BEGIN + MINUTE), false);
    assert.equal(took(counts, BEGIN + 2 * MINUTE), true);
  });

  it('are dropped with their window, even by an API that only receives them', () => {
    const counts = new RateCounts('a');
    counts.hear([count()], BEGIN);
    const next = count({ window: count().window + 1 });
    counts.hear([next], BEGIN + MINUTE);
    assert.deepEqual(counts.all(BEGIN), [next]);
  });

  it('are published once by their own API, and completely on request', () => {
    const counts = new RateCounts('a');
    counts.hear([count()], BEGIN);
    assert.deepEqual(counts.tell(BEGIN), []);
    took(counts);
    took(counts);
    assert.deepEqual(counts.tell(BEGIN), [count({ api: 'a', taken: 2 })]);
    assert.deepEqual(counts.tell(BEGIN), []);
    assert.deepEqual(counts.all(BEGIN), [count(), count({ api: 'a', taken: 2 })]);
    took(counts);
    assert.deepEqual([counts.tell(BEGIN + MINUTE), counts.all(BEGIN + MINUTE)], [[], []]);
  });
});

/** Core NATS and the time, in a test's hands. */
class World {
  now = BEGIN;
  /** Whether messages get lost. */
  deaf = false;
  readonly sent: RateReport[] = [];
  readonly #timers = new Set<{ at: number; call: () => void }>();
  readonly #hearers = new Set<(error: null, msg: { data: Uint8Array }) => void>();
  readonly #connections = new Set<(connected: boolean) => void>();
  #connected = true;

  get timers(): number {
    return this.#timers.size;
  }

  api(rate = '3/minute'): SpawnRateLimiter {
    const nc = {
      subscribe: (_subject: string, { callback }: { callback: (error: null, msg: { data: Uint8Array }) => void }) => {
        this.#hearers.add(callback);
        return { unsubscribe: () => this.#hearers.delete(callback) };
      },
      publish: (_subject: string, text: string) => this.#publish(text),
    };
    const clock = { now: () => this.now, after: (ms: number, call: () => void) => this.#after(ms, call) };
    const onConnection = (listener: (connected: boolean) => void) => {
      this.#connections.add(listener);
      return () => this.#connections.delete(listener);
    };
    const broker = { nc, clock, connected: () => this.#connected, onConnection } as unknown as Broker;
    const made = new SpawnRateLimiter(rate, broker, silent);
    made.start();
    return made;
  }

  pass(ms: number): void {
    this.now += ms;
    for (const timer of this.#timers) if (timer.at <= this.now && this.#timers.delete(timer)) timer.call();
  }

  connect(connected: boolean): void {
    this.#connected = connected;
    for (const listener of this.#connections) listener(connected);
  }

  #after(ms: number, call: () => void): () => void {
    const timer = { at: this.now + ms, call };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  #publish(text: string): void {
    const report = check(RateReport, JSON.parse(text));
    assert.ok(report.ok, text);
    this.sent.push(report.value);
    if (!this.deaf) for (const hear of this.#hearers) hear(null, { data: new TextEncoder().encode(text) });
  }
}

const taken = (api: SpawnRateLimiter): boolean => {
  try {
    api.take(LOCAL);
    return true;
  } catch (error) {
    assert.ok(error instanceof ApiError && error.code === 'rate_limited');
    return false;
  }
};

describe('the rate limit of a token', () => {
  it('applies across all APIs, except for tasks accepted before they receive each other’s counts', () => {
    const world = new World();
    const [one, two] = [world.api(), world.api()];
    assert.deepEqual([taken(one), taken(two)], [true, true]);
    // Both told that at once, and tell no more for a while.
    assert.deepEqual([taken(one), taken(two)], [true, true]);
    world.pass(REPORT_MS);
    assert.deepEqual([taken(one), taken(two)], [false, false]);
    world.pass(MINUTE);
    assert.deepEqual([taken(one), taken(two)], [true, true]);
  });

  it('reports the remaining quota and its reset time with acceptances and refusals', () => {
    const world = new World();
    const [one, two] = [world.api(), world.api()];
    taken(one);
    world.pass(10_500);
    const state = two.take(LOCAL);
    assert.deepEqual(state, { quota: 3, windowS: 60, remaining: 1, resetS: 50 });
    assert.equal(rateHeaders(state)['ratelimit'], '"spawn";r=1;t=50');
    taken(two);
    world.pass(REPORT_MS);
    assert.throws(() => one.take(LOCAL), {
      code: 'rate_limited',
      retryAfter: 50,
      rate: { quota: 3, windowS: 60, remaining: 0, resetS: 50 },
    });
  });

  it('publishes nothing while no task is accepted', () => {
    const world = new World();
    const one = world.api();
    const began = world.sent.length;
    taken(one);
    assert.deepEqual([world.sent.length - began, world.timers], [1, 1]);
    world.pass(REPORT_MS);
    assert.deepEqual([world.sent.length - began, world.timers], [1, 0]);
  });

  it('applies at an API that started late or replaced another', async () => {
    const world = new World();
    const [one, two] = [world.api('3/hour'), world.api('3/hour')];
    taken(one);
    taken(one);
    await one.stop();
    assert.equal(world.timers, 0);
    const again = world.api('3/hour');
    assert.deepEqual([taken(again), taken(again), taken(two)], [true, false, false]);
  });

  it('applies again after lost messages, once another message arrives or the connection is restored', () => {
    const world = new World();
    const [one, two] = [world.api('4/hour'), world.api('4/hour')];
    world.deaf = true;
    taken(one);
    world.pass(REPORT_MS);
    world.deaf = false;
    taken(one);
    assert.equal(two.take(LOCAL)?.remaining, 1);
    world.pass(REPORT_MS);
    world.connect(false);
    taken(one);
    assert.equal(world.timers, 0);
    world.connect(true);
    assert.equal(taken(two), false);
  });
});
