import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { presentWorkers } from '../../src/broker/workers.js';
import { dataOf, WorkerLab } from '../fixtures/worker.js';

describe('a usage limit that Claude reports', () => {
  let lab: WorkerLab;
  before(async () => {
    lab = await WorkerLab.start({ KSI_CONCURRENCY: '1', KSI_QUEUES: 'default,other' });
  });
  after(() => lab.stop());

  it('keeps all workers of the account from taking tasks until it is reset, and no other', async () => {
    const ours = { ANTHROPIC_API_KEY: 'sk-ant-ours-00000000' };
    await lab.worker({ env: ours, config: { KSI_QUEUES: 'default' } });
    await lab.worker({ env: ours, config: { KSI_QUEUES: 'default' } });
    await lab.worker({ env: { ANTHROPIC_API_KEY: 'sk-ant-theirs-000000' }, config: { KSI_QUEUES: 'other' } });
    const limited = await lab.post('x [[limited:4]] [[error:429]]', { command: { policy: { max_attempts: 1 } } });
    const told = await lab.until(() => lab.seen.find(({ event }) => event.type === 'WORKER_LIMITED'));
    const resetsAt = Date.parse((told.event.data as { resets_at: string }).resets_at);
    const waiting = await Promise.all([1, 2, 3].map(() => lab.post('after the limit')));
    const other = await lab.post('of another account', { queue: 'other' });
    dataOf('SPAWN_COMPLETE', await lab.outcome(other.taskId));
    // One that starts meanwhile hears of it too.
    await lab.worker({ env: ours, config: { KSI_QUEUES: 'default' } });
    await lab.outcome(limited.taskId);
    const shown = await presentWorkers(lab.broker);
    assert.ok(shown.filter(({ limited_until: until }) => until !== undefined).length >= 1);
    for (const { taskId } of waiting) {
      const start = await lab.event('SPAWN_START', taskId);
      assert.ok(Date.parse(start.timestamp) >= resetsAt, 'none began before');
      dataOf('SPAWN_COMPLETE', await lab.outcome(taskId));
    }
  });
});
