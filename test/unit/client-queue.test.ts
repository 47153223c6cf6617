import assert from 'node:assert/strict';
import { it } from 'node:test';
import { MessageQueue } from '../../src/client/message-queue.js';

it('a queue applies backpressure while the reader is behind, and loses nothing at its end', async () => {
  const calls: string[] = [];
  const queue = new MessageQueue<number>({ full: () => calls.push('full'), emptied: () => calls.push('emptied') });
  for (let n = 0; n < 1_500; n++) queue.push(n);
  assert.deepEqual(calls, ['full']);
  queue.end(new Error('broken'));
  let seen = 0;
  await assert.rejects(async () => {
    for await (const n of queue.messages()) assert.equal(n, seen++);
  }, /broken/);
  assert.equal(seen, 1_500);
  assert.deepEqual(calls, ['full', 'emptied']);
});
