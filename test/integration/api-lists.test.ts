import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { v7 as uuidv7 } from 'uuid';
import type { TObject } from 'typebox';
import { OPERATIONS, type OperationName } from '../../contracts/api/operations.js';
import { APPROVAL_RULES } from '../../contracts/tasks/approval-rules.js';
import { SUBJECT } from '../../contracts/wire/names.js';
import type { Operation } from '../../contracts/wire/operation.js';
import type { Page } from '../../contracts/wire/page.js';
import { pathOf } from '../../contracts/wire/path.js';
import { eventPublication, newEvent } from '../../src/broker/events.js';
import { Records } from '../../src/broker/records.js';
import { systemClock } from '../../src/clock.js';
import { AgentsOver } from '../fixtures/agents.js';
import { ApiLab } from '../fixtures/api.js';
import { storeEndedTasks } from '../fixtures/ended-tasks.js';

const LISTS = Object.entries<Operation>(OPERATIONS).filter(
  ([, { answers }]) => (answers[200] as TObject | undefined)?.properties?.['items'] !== undefined,
) as [OperationName, Operation][];
/** Lists that have too little in them here: they need workers, or items that are older than a minute. */
const SHORT = new Set(['workers', 'workspaces', 'retention_preview']);

describe('every list', () => {
  let lab: ApiLab;
  let agents: AgentsOver;
  let task = '';
  const must = async <T>(method: string, path: string, body?: object): Promise<T> => {
    const { status, body: answer } = await agents.ask(method, path, body);
    assert.ok(status < 300, `${method} ${path}: ${status} ${JSON.stringify(answer)}`);
    return answer as T;
  };
  before(async () => {
    lab = await ApiLab.start({ KSI_QUEUES: 'default,a,b' });
    agents = new AgentsOver(() => lab.url);
    const { broker } = lab;
    const ended = await storeEndedTasks(broker, 3, { dead: true });
    const [{ task_id: id, session_id: session } = { task_id: '', session_id: '' }] = ended;
    task = id;
    for (const n of [1, 2, 3]) {
      await agents.register({ agent_id: `agent-${n}`, kind: 'external' });
      await agents.send({ to: 'agent-1', content: String(n) });
      await must('POST', '/identities', { agent_id: `agent-${n}` });
      await must('PUT', `/shared/key-${n}`, { value: n });
      await must('PUT', `/profiles/profile-${n}`, {});
      await must('POST', '/tokens', { scopes: ['read'] });
      await must('POST', '/conversations', { topic: 't', mode: 'debate', agents: 2 });
      const approval = { approval_id: `${id}.1.${n}`, attempt: 1, kind: 'tool', tool: 'Bash' } as const;
      const fields = { task_id: id, session_id: session, owner: 'local', expires_at: '2100-01-01T00:00:00.000Z' };
      const asked = newEvent(systemClock, 'APPROVAL_REQUESTED', { ...approval, ...fields });
      await broker.publisher.publish(eventPublication(asked, SUBJECT.taskApproval(id)));
      const rule = { rule_id: uuidv7(), owner: 'local', scope: 'owner', rule: `Read(/${n})`, by: 'local' } as const;
      const made = { ...rule, approval_id: `${id}.1.${n}`, token_id: 'local', created_at: new Date().toISOString() };
      await new Records(broker, APPROVAL_RULES).put(['local', rule.rule_id], made);
    }
    while ((await must<Page<unknown>>('GET', '/approvals')).items.length < 3);
    while ((await must<Page<unknown>>('GET', '/usage?by=session')).items.length < 3);
    // Each conversation makes a task, after its request is answered.
    while ((await must<Page<unknown>>('GET', '/tasks?status=queued')).items.length < 3);
  });
  after(() => lab.stop());

  const pageOf = (name: OperationName, query: string): Promise<Page<unknown>> => {
    const id = name === 'task_events' ? task : 'agent-1';
    const more = name === 'usage' ? '&by=session' : '';
    return must('GET', `${pathOf(OPERATIONS[name].path, { id })}?${query}${more}`);
  };

  it('has the same parameters and envelope', () => {
    assert.ok(LISTS.length >= 20);
    for (const [name, { method, query, answers }] of LISTS) {
      assert.equal(method, 'GET', name);
      for (const field of ['limit', 'cursor']) assert.ok(query?.properties[field] !== undefined, `${name} ${field}`);
      const { required, properties } = answers[200] as TObject;
      assert.ok(required?.includes('items') && properties['next_cursor'] !== undefined, name);
    }
  });

  it('gives each item once, in pages of one', async () => {
    for (const [name] of LISTS) {
      // Only a worker can read a working folder: see the test of session files.
      if (name === 'session_files') continue;
      const { items: all, next_cursor: none } = await pageOf(name, 'limit=500');
      assert.equal(none, undefined, name);
      if (!SHORT.has(name)) assert.ok(all.length >= 3, `${name} has only ${all.length} items`);
      const found: unknown[] = [];
      let cursor = '';
      do {
        const { items, next_cursor: next } = await pageOf(name, `limit=1${cursor}`);
        assert.ok(items.length <= 1 && (all.length === 0 || items.length === 1), name);
        found.push(...items);
        cursor = next === undefined ? '' : `&cursor=${encodeURIComponent(next)}`;
      } while (cursor !== '' && found.length <= all.length);
      assert.deepEqual(found, all, name);
    }
  });

  it('refuses the cursor of another list', async () => {
    const { next_cursor: cursor = '' } = await pageOf('tokens', 'limit=1');
    for (const [name, { path }] of LISTS.filter(([each]) => each !== 'tokens')) {
      const { status, body } = await agents.ask('GET', `${pathOf(path, { id: name === 'task_events' ? task : 'agent-1' })}?cursor=${cursor}`); // prettier-ignore
      assert.deepEqual([status, body['code']], [400, 'invalid_cursor'], name);
    }
  });

  it('means the same by the same filter', async () => {
    const { token } = await must<{ token: string }>('POST', '/tokens', { owner: 'ann', scopes: ['read', 'admin'] });
    const ann = new AgentsOver(() => lab.url, token);
    const later = new Date(Date.now() + 86_400_000).toISOString();
    for (const [name, { path, query }] of LISTS) {
      const url = (filter: string): string => `${pathOf(path, { id: task })}?${filter}`;
      const filters = query?.properties ?? {};
      if (filters['owner'] !== undefined) {
        assert.equal((await ann.ask('GET', url('owner=local'))).body['code'], 'forbidden', name);
        if (name !== 'tokens') assert.deepEqual((await ann.ask('GET', url('owner=ann'))).body['items'], [], name);
        assert.deepEqual((await pageOf(name, 'owner=nobody')).items, [], name);
      }
      for (const of of ['created', 'ended'])
        if (filters[`${of}_after`] !== undefined) {
          assert.deepEqual((await pageOf(name, `${of}_after=${later}`)).items, [], `${name} ${of}_after`);
          assert.deepEqual((await pageOf(name, `${of}_before=2020-01-01T00:00:00Z`)).items, [], `${name} ${of}_before`);
          const all = await pageOf(name, `${of}_after=2020-01-01T00:00:00Z&${of}_before=${later}`);
          assert.ok(all.items.length >= 3, `${name} ${of}`);
        }
      if (filters['status'] !== undefined) {
        const { status, body } = await agents.ask('GET', url('status=nonsense'));
        assert.deepEqual([status, body['code']], [400, 'invalid_request'], name);
      }
    }
  });

  it('takes several statuses as a list over NATS', async () => {
    const ask = async (request: object): Promise<Page<{ status: string }>> =>
      (await lab.broker.nc.request(SUBJECT.apiVerb('tasks'), JSON.stringify(request))).json();
    const { items } = await ask({ status: ['failed', 'running'], limit: 2 });
    assert.deepEqual(
      items.map(({ status }) => status),
      ['failed', 'failed'],
    );
  });
});
