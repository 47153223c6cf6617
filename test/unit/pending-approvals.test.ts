import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { foldApprovals } from '../../src/tasks/approvals/pending.js';

const event = (type: string, approval_id?: string): Parameters<typeof foldApprovals>[1] => ({
  type,
  timestamp: '2026-01-01T00:00:00.000Z',
  data: { task_id: 't', ...(approval_id === undefined ? {} : { approval_id }) },
});
const open = (...events: readonly Parameters<typeof foldApprovals>[1][]): string[] =>
  events
    .reduce<ReturnType<typeof foldApprovals>>((sofar, next) => foldApprovals(sofar, next), [])
    .map(({ approval_id: id }) => id);

describe("a task's pending approvals", () => {
  const [a, b] = ['t.1.1', 't.1.2'];
  it('are the unanswered requests, each once, even if past events are read again', () => {
    assert.deepEqual(open(event('APPROVAL_REQUESTED', a), event('APPROVAL_REQUESTED', b)), [a, b]);
    assert.deepEqual(open(event('APPROVAL_REQUESTED', a), event('APPROVAL_REQUESTED', a)), [a]);
    assert.deepEqual(open(event('APPROVAL_REQUESTED', a), event('APPROVAL_RESOLVED', a)), []);
  });

  it('end with their attempt, and not with a message of Claude', () => {
    assert.deepEqual(open(event('APPROVAL_REQUESTED', a), event('SPAWN_MESSAGE')), [a]);
    assert.deepEqual(open(event('APPROVAL_REQUESTED', a), event('SPAWN_RETRY')), []);
  });
});
