import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Svcm } from '@nats-io/services';
import type { Msg } from '@nats-io/transport-node';
import type { DeadPage } from '../../contracts/tasks/dead-letters.js';
import type { Problem } from '../../contracts/wire/problem.js';
import type { SpawnAccepted } from '../../contracts/tasks/spawn.js';
import type { Task, TaskPage } from '../../contracts/tasks/task.js';
import { SUBJECT } from '../../contracts/wire/names.js';
import { OPERATIONS } from '../../contracts/api/operations.js';
import type { QueuePage } from '../../contracts/tasks/queues.js';
import { ApiLab } from '../fixtures/api.js';

describe('the NATS service', () => {
  let lab: ApiLab;
  before(async () => {
    lab = await ApiLab.start();
  });
  after(() => lab.stop());

  const ask = (verb: string, body: unknown): Promise<Msg> =>
    lab.broker.nc.request(SUBJECT.apiVerb(verb), typeof body === 'string' ? body : JSON.stringify(body), {
      timeout: 5_000,
    });

  const untilListed = async (session: string): Promise<Task> => {
    for (;;) {
      const [task] = (await ask('tasks', { session_id: session })).json<TaskPage>().items;
      if (task !== undefined) return task;
    }
  };

  it('takes a spawn and shows it, as HTTP does', async () => {
    const accepted = (await ask('spawn', { prompt: 'over NATS', session_id: null })).json<SpawnAccepted>();
    assert.equal(accepted.status, 'queued');
    const task = (await ask('task', { id: accepted.task_id })).json<Task>();
    assert.deepEqual(task, await lab.task(accepted.task_id));
    const page = (await ask('tasks', '')).json<TaskPage>();
    assert.equal(page.items[0]?.task_id, accepted.task_id);
    assert.deepEqual((await ask('dead', { queue: 'default' })).json<DeadPage>(), { items: [] });
  });

  it('waits for an outcome, gives text as it is, and nothing where HTTP gives nothing', async () => {
    const waited = ask('spawn', { prompt: 'x', wait: 5, session_id: 'for-nats' });
    const page = await untilListed('for-nats');
    await lab.finish(page);
    const done = (await waited).json<Task>();
    assert.deepEqual([done.status, done.output?.['result']], ['completed', 'done']);
    assert.match((await ask('session_transcript', { id: 'for-nats', format: 'markdown' })).string(), /^# /);
    assert.equal((await ask('task_delete', { id: done.task_id })).data.length, 0);
    const notFound = (await ask('task', { id: done.task_id })).json<Problem>();
    assert.equal(notFound.code, 'not_found');
  });

  it('tells of the queues as HTTP does', async () => {
    const { items: queues } = (await ask('queues', '')).json<QueuePage>();
    const [only] = queues;
    assert.deepEqual(queues, (await lab.request('/queues')).body['items']);
    assert.deepEqual([queues.length, only?.queue, only?.workers, only?.running], [1, 'default', [], 0]);
    assert.ok(only !== undefined && only.ready.normal > 0 && only.tasks >= only.ready.normal);
  });

  it('refuses with the headers of the protocol and the document of HTTP', async () => {
    const cases: [string, unknown, number, string][] = [
      ['spawn', { promt: 'x' }, 400, 'invalid_request'],
      ['spawn', '{bad', 400, 'invalid_json'],
      ['spawn', { prompt: 'x', session_id: 'never-seen', resume_only: true }, 404, 'session_not_found'],
      ['task', { id: '01a20820-6481-721d-9f79-db9f581717f0' }, 404, 'not_found'],
      ['tasks', { limit: 0 }, 400, 'invalid_request'],
    ];
    for (const [verb, body, status, code] of cases) {
      const answer = await ask(verb, body);
      const problem = answer.json<Problem>();
      assert.equal(answer.headers?.get('Nats-Service-Error-Code'), String(status), JSON.stringify(problem));
      assert.notEqual(answer.headers?.get('Nats-Service-Error'), '');
      assert.equal(problem.code, code);
      assert.match(problem.detail, /\. \S/);
    }
  });

  it('counts its spawns with those of HTTP', async () => {
    const count = async (): Promise<number> => {
      const { body } = await lab.request('/metrics');
      return Number(/^ksi_spawn_requests_total\{result="accepted"\} (\d+)$/m.exec(String(body['text']))?.[1] ?? 0);
    };
    const before = await count();
    await ask('spawn', { prompt: 'x' });
    await lab.spawn();
    assert.equal(await count(), before + 2);
  });

  it('is found as `nats micro` finds it', async () => {
    const names: string[] = [];
    for await (const { name, endpoints } of await new Svcm(lab.broker.nc).client().info('ksi')) {
      names.push(name);
      assert.deepEqual(
        endpoints.map(({ subject }) => subject).toSorted(),
        Object.keys(OPERATIONS)
          .toSorted()
          .map((verb) => `ksi.api.${verb}`),
      );
    }
    assert.deepEqual(names, ['ksi']);
  });

  it('answers what it has taken before it stops', async () => {
    const requests = Array.from({ length: 20 }, () => ask('spawn', { prompt: 'x', session_id: 'one-for-all' }));
    await lab.broker.nc.flush();
    await lab.stopApi();
    for (const answer of await Promise.all(requests)) assert.notEqual(answer.json<SpawnAccepted>().task_id, undefined);
    await lab.startApi();
  });
});
