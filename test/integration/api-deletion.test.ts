import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { SpawnAccepted } from '../../contracts/http.js';
import { STREAM, SUBJECT } from '../../contracts/names.js';
import { deleteMessage, lastBySubject } from '../../src/broker/read.js';
import { AgentsOver, type Said } from '../fixtures/agents.js';
import { ApiLab, TOKEN } from '../fixtures/api.js';

describe('deletion at an API', () => {
  let lab: ApiLab;
  let here: AgentsOver;
  before(async () => {
    lab = await ApiLab.start();
    here = new AgentsOver(() => lab.url, TOKEN);
  });
  after(() => lab.stop());

  /** Tasks that have ended, as a worker leaves them. */
  const ended = async (count: number, body: object = {}): Promise<SpawnAccepted[]> => {
    const tasks: SpawnAccepted[] = [];
    for (let n = 0; n < count; n++) {
      const task = await lab.spawn({ prompt: `${n}`, ...body });
      // SPAWN_QUEUED is not awaited by the API.
      while ((await lastBySubject(lab.broker, STREAM.events, SUBJECT.taskStates(task.task_id))) === undefined);
      await lab.finish(task);
      const run = await lastBySubject(lab.broker, STREAM.commands, SUBJECT.sessionRuns(task.session_id));
      await deleteMessage(lab.broker, STREAM.commands, run?.seq ?? 0);
      tasks.push(task);
    }
    for (const { task_id: id } of tasks) while ((await lab.task(id)).status !== 'completed');
    return tasks;
  };
  const consumers = async (): Promise<number> => {
    let count = 0;
    for await (const { state } of lab.broker.jsm.streams.list()) count += state.consumer_count;
    return count;
  };
  const removed = async (path: string): Promise<Said> => {
    const said = await here.ask('DELETE', path);
    assert.ok(said.status < 300, `${path}: ${said.status} ${JSON.stringify(said.body)}`);
    return said;
  };

  it('leaves no consumer at the broker, whatever is deleted', async () => {
    const large = 'x'.repeat(1_100_000);
    const tasks = await ended(40);
    const sessions = await ended(20, { metadata: { of: 'session' } });
    const [big] = await ended(1, { prompt: large });
    for (let n = 0; n < 20; n++) {
      await here.register({ agent_id: `agent-${n}` });
      await here.send({ to: `agent-${n}`, content: n === 0 ? large : 'hello' });
    }
    const talks: string[] = [];
    for (let n = 0; n < 5; n++) {
      const { body, status } = await here.ask('POST', '/conversations', { topic: 'x', mode: 'debate', agents: 2 });
      assert.equal(status, 201, JSON.stringify(body));
      talks.push(String(body['conversation_id']));
    }
    const before = await consumers();
    for (const { task_id: id } of [...tasks, ...(big === undefined ? [] : [big])]) await removed(`/tasks/${id}`);
    for (const { session_id: id } of sessions) await removed(`/sessions/${id}`);
    for (const id of talks) await removed(`/conversations/${id}`);
    for (let n = 0; n < 20; n++) await removed(`/agents/agent-${n}`);
    await ended(3);
    await removed('/owners/local');
    assert.equal(await consumers(), before);
    assert.deepEqual((await here.ask('GET', '/tasks')).body['tasks'], []);
  });

  it('by filter takes the ended tasks that match, page by page, and leaves open ones', async () => {
    const cancelled = await lab.spawn({ prompt: 'cancelled', queue: 'default' });
    assert.equal((await here.ask('POST', `/tasks/${cancelled.task_id}/cancel`)).status, 200);
    const done = await ended(5);
    const open = await lab.spawn({ prompt: 'open' });
    const middle = (await lab.task(done[2]?.task_id ?? '')).ended_at ?? '';
    const total = async (query: string): Promise<number> => {
      let deleted = 0;
      let cursor: string | undefined;
      do {
        const more = cursor === undefined ? '' : `&cursor=${cursor}`;
        const { body } = await removed(`/tasks?limit=2&${query}${more}`);
        deleted += Number(body['deleted']);
        cursor = body['next_cursor'] as string | undefined;
      } while (cursor !== undefined);
      return deleted;
    };
    for (const query of ['', '?limit=5', '?status=running', '?before=soon'])
      assert.equal((await here.ask('DELETE', `/tasks${query}`)).status, 400, query);
    assert.equal(await total('status=cancelled&owner=nobody'), 0);
    assert.equal(await total(`before=${middle}&status=completed&dry_run=true`), 2);
    assert.equal(await total(`before=${middle}&status=completed`), 2);
    assert.equal(await total('owner=local&dry_run=true'), 4);
    assert.equal(await total('owner=local'), 4);
    assert.equal((await here.ask('GET', `/sessions/${cancelled.session_id}`)).status, 404);
    const { tasks } = (await here.ask('GET', '/tasks')).body as { tasks: { task_id: string }[] };
    assert.deepEqual(
      tasks.map(({ task_id: id }) => id),
      [open.task_id],
    );
  });
});
