import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { StoredEvent } from '../../contracts/events/events.js';
import { statusOfEvent } from '../../contracts/tasks/states.js';
import { PromptInput } from '../../workers/claude/prompt-input.js';
import { isStale, historyOf, type TaskStateEvent } from '../../workers/attempt/history.js';

let seq = 0;
const state = (type: string, data: object = {}): TaskStateEvent => ({
  seq: ++seq,
  status: statusOfEvent(type) ?? 'queued',
  event: { v: 1, id: String(seq), type, timestamp: '', data } as unknown as StoredEvent,
});
const start = (attempt: number) =>
  state('SPAWN_START', { attempt, transcript_seq: attempt * 10, run: { seq: 7, delivery: attempt } });
const retry = (reason: string, data: object = {}) => state('SPAWN_RETRY', { reason, ...data });

describe('positionOf', () => {
  it('distinguishes new, started and ended tasks', () => {
    assert.deepEqual(historyOf([]), { kind: 'new', last: { status: 'queued', seq: 0 } });
    const queued = state('SPAWN_QUEUED');
    assert.deepEqual(historyOf([queued]), { kind: 'new', last: queued });
    const held = { seq: 7, delivery: 1 };
    assert.deepEqual(historyOf([start(1), state('SPAWN_COMPLETE')]), { kind: 'ended', held });
    assert.deepEqual(historyOf([queued, state('SPAWN_CANCELLED')]), { kind: 'ended', held: undefined });
  });

  it("returns the first attempt's transcript and the latest attempt's delivery", () => {
    const states = [start(1), retry('worker_lost'), start(2)];
    assert.deepEqual(historyOf(states), {
      kind: 'again',
      running: { seq: 7, delivery: 2 },
      last: states[2],
      attempts: 2,
      failures: 0,
      lostStarts: 2,
      retryAt: undefined,
      transcriptSeq: 10,
    });
  });

  it('counts failures separately from lost starts, and returns when the next attempt may start', () => {
    const states = [
      start(1),
      retry('claude_crashed', { counted: true, retry_at: '2026-01-01T00:00:00Z' }),
      start(2),
      retry('worker_drained', { counted: false }),
      start(3),
      retry('claude_overloaded', { counted: true, retry_at: '2026-01-02T00:00:00Z' }),
    ];
    const position = historyOf(states);
    assert.ok(position.kind === 'again');
    assert.deepEqual([position.failures, position.lostStarts], [2, 0]);
    assert.equal(position.retryAt, Date.parse('2026-01-02T00:00:00Z'));
    const begun = historyOf([...states, start(4)]);
    assert.ok(begun.kind === 'again');
    assert.deepEqual([begun.failures, begun.lostStarts, begun.retryAt], [2, 1, undefined]);
    // Given back meanwhile: nothing to wait for any more.
    const drained = historyOf([...states, start(4), retry('worker_drained', { counted: false })]);
    assert.ok(drained.kind === 'again');
    assert.equal(drained.retryAt, undefined);
  });

  it('does not count attempts that a shutdown or a lost broker ended', () => {
    const position = historyOf([
      start(1),
      retry('worker_drained'),
      start(2),
      retry('broker_lost'),
      start(3),
      retry('worker_lost'),
    ]);
    assert.ok(position.kind === 'again');
    assert.equal(position.lostStarts, 1);
    assert.equal(position.running, undefined);
  });
});

describe('isStale', () => {
  const running = { seq: 7, delivery: 2 };
  const table: [number, number, boolean][] = [
    [7, 1, true],
    [7, 2, true],
    [7, 3, false],
    [6, 9, true],
    [8, 1, false],
  ];
  for (const [seq, delivery, stale] of table) {
    it(`says ${stale} of delivery ${delivery} of run ${seq}`, () =>
      assert.equal(isStale({ seq, delivery }, running), stale));
  }
});

describe('the prompt of a new attempt', () => {
  it('is the original prompt, then the input to earlier attempts, then later input', async () => {
    const input = new PromptInput('prompt');
    input.say('since');
    input.sayAgain(['first', 'second']);
    input.end();
    const published: unknown[] = [];
    for await (const { message } of input.messages()) published.push(message.content);
    assert.deepEqual(published, ['prompt', 'first', 'second', 'since']);
  });
});
