import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
import type { TokenCreated } from '../../contracts/access/tokens.js';
import type { LimitLifted } from '../../contracts/tasks/workers.js';
import { lastBySubject } from '../../src/broker/read.js';
import { presentWorkers } from '../../src/broker/workers.js';
import { TOKEN } from '../fixtures/api.js';
import { startApiProcess } from '../fixtures/api-process.js';
import { dataOf, WorkerLab } from '../fixtures/worker.js';

describe('a usage limit that Claude reports', () => {
  let lab: WorkerLab;
  before(async () => {
    lab = await WorkerLab.start({ KSI_CONCURRENCY: '1', KSI_QUEUES: 'default,other,lifted' });
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

  it('is lifted by an operator, also for a worker that starts later', async () => {
    const own = { env: { ANTHROPIC_API_KEY: 'sk-ant-lifted-000000' }, config: { KSI_QUEUES: 'lifted' } };
    const api = await startApiProcess(lab.server.url, { KSI_QUEUES: 'default,other,lifted' });
    lab.onStop(() => api.stop());
    const ask = (path: string, token: string, body?: object): Promise<Response> =>
      fetch(`${api.url}${path}`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${token}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
    const { worker } = await lab.worker(own);
    const limited = await lab.post('x [[limited:3600]] [[error:429]]', {
      queue: 'lifted',
      command: { policy: { max_attempts: 1 } },
    });
    await lab.outcome(limited.taskId);
    const waiting = await lab.post('waits for the limit', { queue: 'lifted' });
    // A worker of the test before may wait a few seconds longer than its limit.
    const isLimited = async (): Promise<boolean> =>
      (await presentWorkers(lab.broker)).some(
        ({ worker_id: id, limited_until: until }) => id === worker.id && until !== undefined,
      );
    while (!(await isLimited())) await sleep(20);

    const { token } = (await (
      await ask('/tokens', TOKEN, { owner: 'ann', scopes: ['read', 'spawn'] })
    ).json()) as TokenCreated;
    assert.equal((await ask('/workers/lift-limit', token)).status, 403);
    const lifted = await ask('/workers/lift-limit', TOKEN);
    assert.equal(lifted.status, 200);
    assert.ok(((await lifted.json()) as LimitLifted).workers.includes(worker.id));

    dataOf('SPAWN_COMPLETE', await lab.outcome(waiting.taskId));
    while (await isLimited()) await sleep(20);
    while ((await lastBySubject(lab.broker, STREAM.audit, SUBJECT.audit('local', 'limit_lift'))) === undefined)
      await sleep(20);
    await worker.stop();
    await lab.worker(own);
    dataOf('SPAWN_COMPLETE', await lab.outcome((await lab.post('later', { queue: 'lifted' })).taskId));
  });
});
