import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { StoredEvent } from '../../contracts/events/events.js';
import { NO_USAGE } from '../../contracts/access/usage.js';
import { HubEvent } from '../../src/events/hub-event.js';
import { decodeCursor, encodeCursor, incarnationOf } from '../../contracts/wire/cursor.js';
import { Limit } from '../../src/limit.js';
import { applyEvent, previewOf, taskOf, type StateEvent, type TaskRow } from '../../src/store/projection.js';
import { EventRing } from '../../src/events/ring.js';
import { parsePattern, tokensOf } from '../../src/events/subject.js';

const stored = (data: object = { owner: 'local' }): string =>
  JSON.stringify({ v: 1, id: 'i', type: 'SPAWN_MESSAGE', timestamp: 't', data });
const bridged = (seq: number, text = stored()): HubEvent =>
  new HubEvent({ incarnation: 'abc', seq }, 'ksi.events.task.t.output', text, JSON.parse(text) as StoredEvent);

describe('a bridged event', () => {
  it('is the stored event with the data of its message, serialised once', () => {
    const event = bridged(7, stored({ owner: 'local', message: { text: 'a}b' } }));
    assert.deepEqual(JSON.parse(event.envelope), {
      ...(JSON.parse(stored({ owner: 'local', message: { text: 'a}b' } })) as object),
      seq: 7,
      cursor: 'abc-7',
      subject: 'ksi.events.task.t.output',
    });
    assert.equal(event.frame, event.frame);
    assert.equal(event.owner, 'local');
  });
});

describe('a cursor', () => {
  const now = { incarnation: 'abc', seq: 100 };
  it('survives a round trip', () => {
    assert.equal(decodeCursor(encodeCursor({ incarnation: 'abc', seq: 42 }), now), 42);
    assert.equal(decodeCursor('42', now), 42);
    assert.equal(decodeCursor('100', now), 100);
  });
  it('is refused if it belongs to another stream, is ahead, or is not a cursor', () => {
    assert.equal(decodeCursor('xyz-42', now), 'cursor_gone');
    assert.equal(decodeCursor('101', now), 'cursor_gone');
    for (const odd of ['', 'abc-', '-1', 'abc-1-2', 'ABC-1', '1.5', '1e3', 'abc-99999999999999999999', ' 1'])
      assert.equal(decodeCursor(odd, now), 'invalid_cursor', odd);
  });
  it('distinguishes streams by their creation time', () => {
    assert.notEqual(incarnationOf('2026-11-23T10:26:29.054899784Z'), incarnationOf('2026-11-23T10:26:30.054899784Z'));
  });
});

describe('a subject pattern', () => {
  const matches = (pattern: string, subject: string): boolean | undefined =>
    parsePattern(pattern)?.matches(tokensOf(subject));
  it('matches like the patterns of the broker', () => {
    const cases: [string, string, boolean][] = [
      ['ksi.events.>', 'ksi.events.task.1.output', true],
      ['ksi.events.>', 'ksi.events', false],
      ['ksi.events.task.*.state.*', 'ksi.events.task.1.state.start', true],
      ['ksi.events.task.*.state.*', 'ksi.events.task.1.output', false],
      ['ksi.events.task.*', 'ksi.events.task.1.output', false],
      ['ksi.events.task.1.>', 'ksi.events.task.1.state.start', true],
      ['ksi.events.task.1.>', 'ksi.events.task.12.output', false],
      ['ksi.live.>', 'ksi.events.task.1.output', false],
    ];
    for (const [pattern, subject, expected] of cases)
      assert.equal(matches(pattern, subject), expected, `${pattern} ${subject}`);
  });
  it('must be well formed, and within the subjects that clients may read', () => {
    for (const odd of [
      '',
      '>',
      '*',
      'ksi',
      'ksi.>',
      'ksi.*.>',
      'ksi.events',
      'ksi.events.',
      'ksi.events..x',
      'ksi.events.>.x',
      'ksi.events.a b',
      'ksi.events.é',
      'ksi.commands.>',
      'ksi.events.x*',
      '$JS.>',
    ]) {
      assert.equal(parsePattern(odd), undefined, odd);
    }
  });
});

describe('the ring', () => {
  it('returns all later events if it still has them', () => {
    const ring = new EventRing();
    for (const seq of [5, 6, 9, 10]) ring.push(bridged(seq));
    const seqs = (after: number): number[] | undefined => ring.after(after, 10)?.map(({ seq }) => seq);
    assert.deepEqual(seqs(4), [5, 6, 9, 10]);
    assert.deepEqual(seqs(6), [9, 10]);
    assert.deepEqual(seqs(7), [9, 10]);
    assert.deepEqual(seqs(10), []);
    assert.equal(seqs(3), undefined);
    assert.equal(new EventRing().after(3, 10), undefined);
    assert.deepEqual(new EventRing().after(10, 10), []);
  });
  it('stays bounded and ordered', () => {
    const ring = new EventRing();
    for (let seq = 1; seq <= 30_000; seq++) ring.push(bridged(seq));
    assert.equal(ring.after(100, 30_000), undefined);
    const last = ring.after(25_000, 30_000)?.map(({ seq }) => seq) ?? [];
    assert.equal(last.length, 5_000);
    assert.deepEqual([last[0], last.at(-1)], [25_001, 30_000]);
  });
});

describe('a limit of replays', () => {
  it('admits a limited number, and the next one when one has ended, even with an error', async () => {
    const limit = new Limit(2);
    let running = 0;
    let most = 0;
    const work = async (fail: boolean): Promise<void> => {
      most = Math.max(most, ++running);
      await new Promise(setImmediate);
      running--;
      if (fail) throw new Error('broken off');
    };
    await Promise.allSettled(Array.from({ length: 10 }, (_, index) => limit.run(() => work(index % 3 === 0))));
    assert.equal(most, 2);
    assert.equal(running, 0);
  });
});

describe('the projection', () => {
  const identity = { task_id: 't', session_id: 's', owner: 'local' };
  const event = (seq: number, type: string, data: object = {}): StateEvent => ({
    seq,
    type,
    timestamp: `2026-01-01T00:00:0${seq}Z`,
    data: { ...identity, ...data },
  });
  const life = [
    event(1, 'SPAWN_QUEUED', { queue: 'slow', priority: 'high', prompt_preview: 'hi', model: 'm' }),
    event(2, 'SPAWN_WAITING', { queue: 'slow', reason: 'session_busy' }),
    event(3, 'SPAWN_START', { attempt: 1, n: 1, worker_id: 'w1' }),
    event(4, 'SPAWN_RETRY', { attempt: 1, reason: 'worker_lost', worker_id: 'w2' }),
    event(5, 'SPAWN_START', { attempt: 2, n: 1, worker_id: 'w2' }),
    event(6, 'SPAWN_COMPLETE', { attempt: 2, n: 2, output: { result: 'done' } }),
  ];
  const fold = (events: readonly StateEvent[]): TaskRow | undefined =>
    events.reduce<TaskRow | undefined>(applyEvent, undefined);

  it('follows a task through its life', () => {
    const statuses = life.map((_, index) => fold(life.slice(0, index + 1))?.status);
    assert.deepEqual(statuses, ['queued', 'waiting', 'running', 'retrying', 'running', 'completed']);
    const row = fold(life);
    assert.ok(row);
    assert.deepEqual(taskOf(row), {
      ...identity,
      status: 'completed',
      queue: 'slow',
      priority: 'high',
      model: 'm',
      prompt_preview: 'hi',
      created_at: '2026-01-01T00:00:01Z',
      started_at: '2026-01-01T00:00:05Z',
      ended_at: '2026-01-01T00:00:06Z',
      attempt: 2,
      worker_id: 'w2',
      output: { result: 'done' },
    });
  });

  it('ignores repeated, late and stateless events', () => {
    const row = fold(life);
    for (const again of life) assert.equal(applyEvent(row, again), row);
    assert.equal(applyEvent(row, event(9, 'SPAWN_MESSAGE')), row);
    assert.equal(applyEvent(undefined, event(9, 'WORKER_ONLINE')), undefined);
  });

  it('includes a task whose first event was lost', () => {
    const row = fold(life.slice(2));
    assert.deepEqual([row?.status, row?.queue, row?.attempt], ['completed', 'default', 2]);
  });

  it('has the usage of a cancelled task', () => {
    const usage = { ...NO_USAGE, cost_usd: 0.5 };
    const row = fold([...life.slice(0, 1), event(4, 'SPAWN_CANCELLED', { reason: 'requested', usage })]);
    assert.deepEqual(row?.usage, usage);
  });

  it('keeps the error of a failed task and the reason of a cancelled one', () => {
    const error = { code: 'claude_crashed', message: 'm', retryable: true };
    assert.deepEqual(fold([...life.slice(0, 3), event(4, 'SPAWN_ERROR', { attempt: 1, n: 2, error })])?.error, error);
    assert.equal(
      fold([...life.slice(0, 1), event(4, 'SPAWN_CANCELLED', { reason: 'not_accepted' })])?.reason,
      'not_accepted',
    );
  });

  it('shows the start of a prompt without splitting a character', () => {
    assert.equal(previewOf('short'), 'short');
    assert.equal(previewOf('x'.repeat(500)).length, 200);
    assert.equal(previewOf(`${'x'.repeat(199)}🙂`), 'x'.repeat(199));
    assert.equal(previewOf(`${'x'.repeat(198)}🙂🙂`), `${'x'.repeat(198)}🙂`);
  });
});
