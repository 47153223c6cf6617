import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { prioritySpecs } from '../../contracts/broker/topology.js';
import { priorityOrder } from '../../workers/queue/priority-order.js';

const order = (queues: string[], turn: number): string[] =>
  priorityOrder(prioritySpecs(queues), turn).map(({ queue, runPriority }) => `${queue} ${runPriority}`);

describe('laneOrder', () => {
  it('serves promoted tasks in turn with the priorities', () => {
    assert.deepEqual(order(['a'], 0), ['a next', 'a high', 'a normal', 'a low']);
    assert.deepEqual(order(['a'], 1), ['a high', 'a normal', 'a low', 'a next']);
  });

  it('serves a higher priority first in every queue, and alternates between queues', () => {
    assert.deepEqual(order(['a', 'b'], 1).slice(0, 4), ['b high', 'a high', 'b normal', 'a normal']);
    assert.deepEqual(order(['a', 'b'], 2).slice(0, 4), ['a next', 'b next', 'a high', 'b high']);
  });

  it('names every lane once', () => {
    assert.equal(new Set(order(['a', 'b', 'c'], 7)).size, 12);
  });
});
