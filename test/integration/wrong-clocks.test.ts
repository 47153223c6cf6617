import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import type { Task } from '../../contracts/tasks/task.js';
import type { TicketCreated, TokenCreated } from '../../contracts/access/tokens.js';
import { TOKEN } from '../fixtures/api.js';
import { startApiProcess, type ApiProcess } from '../fixtures/api-process.js';
import { dataOf, WorkerLab } from '../fixtures/worker.js';
import { workerProcess } from '../fixtures/worker-process.js';
import { wrongClock } from '../fixtures/wrong-clock.js';

const DAY = 86_400_000;
const SHIFTS = [120_000, 10 * DAY, -10 * DAY];
/** Far more than the way to the broker takes, and far less than the clocks are wrong by. */
const NEAR_MS = 60_000;

const isNear = (iso: string | undefined): void => {
  assert.ok(Math.abs(Date.parse(iso ?? '') - Date.now()) < NEAR_MS, `${iso} is not the broker's time`);
};

describe('workers whose clocks are wrong by 2 minutes, 10 days and -10 days', () => {
  let lab: WorkerLab;
  before(async () => {
    lab = await WorkerLab.start({ KSI_CONCURRENCY: '1' });
    for (const [index, ms] of SHIFTS.entries())
      workerProcess(lab, { ...wrongClock(ms), KSI_CONCURRENCY: '1', KSI_PROCESS: `worker-${index + 1}` });
    await lab.until(() =>
      lab.seen.filter(({ event }) => event.type === 'WORKER_ONLINE').length === 3 ? true : undefined,
    );
  });
  after(() => lab.stop());

  it('run what may still start, write the right time, and keep the time of a retry', async () => {
    const backoff = { base_s: 1, factor: 1 };
    const tasks = await Promise.all(
      Array.from({ length: 9 }, () => {
        const start_by = new Date(Date.now() + NEAR_MS).toISOString();
        return lab.post('x [[flaky:1]] [[sleep:100]]', {
          command: { start_by, policy: { queue_timeout_s: 60, backoff } },
        });
      }),
    );
    const workers = new Set<string>();
    for (const { taskId } of tasks) {
      const { attempt } = dataOf('SPAWN_COMPLETE', await lab.outcome(taskId));
      assert.equal(attempt, 2);
      for (const { type, timestamp, data } of lab.of(taskId)) {
        isNear(timestamp);
        if (type === 'SPAWN_START') workers.add((data as { worker_id: string }).worker_id);
      }
    }
    assert.equal(workers.size, 3, 'each of the three took part');
  });

  it('expire what may not start any more', async () => {
    const gone = {
      accepted_at: new Date(Date.now() - 10_000).toISOString(),
      start_by: new Date(Date.now() - 1_000).toISOString(),
    };
    const tasks = await Promise.all(Array.from({ length: 6 }, () => lab.post('x', { command: gone })));
    for (const { taskId } of tasks) dataOf('SPAWN_EXPIRED', await lab.outcome(taskId));
  });
});

describe('APIs whose clocks are wrong by 10 days and -10 days', () => {
  let lab: WorkerLab;
  let apis: [ApiProcess, ApiProcess];
  before(async () => {
    lab = await WorkerLab.start();
    apis = await Promise.all([
      startApiProcess(lab.server.url, wrongClock(10 * DAY)),
      startApiProcess(lab.server.url, wrongClock(-10 * DAY)),
    ]);
  });
  after(async () => {
    await Promise.all(apis.map((api) => api.stop()));
    await lab.stop();
  });

  const ask = async (api: ApiProcess, path: string, body?: object, token = TOKEN) => {
    const answer = await fetch(`${api.url}${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const answerBody: unknown = await answer.json();
    return { status: answer.status, body: answerBody };
  };
  const token = async (api: ApiProcess, expiry: object): Promise<string> => {
    const { status, body } = await ask(api, '/tokens', { owner: 'ann', scopes: ['read', 'spawn'], ...expiry });
    assert.equal(status, 201, JSON.stringify(body));
    return (body as TokenCreated).token;
  };
  it('let tokens in until they expire, and no longer', async () => {
    for (const made of apis) {
      const hour = await token(made, { expires_at: new Date(Date.now() + 3_600_000).toISOString() });
      const same = await token(made, { expires_in_s: 3_600 });
      const brief = await token(made, { expires_in_s: 1 });
      for (const api of apis) {
        for (const good of [hour, same])
          while ((await ask(api, '/tasks', undefined, good)).status !== 200) await sleep(50);
        while ((await ask(api, '/tasks', undefined, brief)).status !== 401) await sleep(100);
        assert.equal((await ask(api, '/tasks', undefined, hour)).status, 200);
      }
      assert.equal(
        (
          await ask(made, '/tokens', {
            owner: 'ann',
            scopes: ['read'],
            expires_at: new Date(Date.now() - 60_000).toISOString(),
          })
        ).status,
        400,
      );
    }
  });

  it('find each other’s tasks, and expire only those that did not begin in time', async () => {
    const spawned = await Promise.all(
      apis.map(async (api, index) => ({
        lasting: (await ask(api, '/spawn', { prompt: 'x', queue_timeout_s: 60 })).body as Task,
        brief: (await ask(api, '/spawn', { prompt: 'x', queue_timeout_s: 1 })).body as Task,
        other: apis[1 - index] ?? api,
      })),
    );
    for (const { lasting, brief, other } of spawned) {
      isNear((await lab.event('SPAWN_EXPIRED', brief.task_id)).timestamp);
      const { status, created_at, start_by } = (await ask(other, `/tasks/${lasting.task_id}`)).body as Task;
      assert.equal(status, 'queued');
      isNear(created_at);
      assert.equal(Date.parse(start_by ?? '') - Date.parse(created_at), 60_000);
      const made = Number.parseInt(lasting.task_id.replaceAll('-', '').slice(0, 12), 16);
      isNear(new Date(made).toISOString());
    }
  });

  it('redeem each other’s tickets', async () => {
    for (const [index, api] of apis.entries()) {
      const { ticket } = (await ask(api, '/tickets', {})).body as TicketCreated;
      const url = (apis[1 - index] ?? api).url.replace('http', 'ws');
      const socket = new WebSocket(`${url}/events?ticket=${ticket}`);
      await once(socket, 'open');
      socket.terminate();
    }
  });
});
