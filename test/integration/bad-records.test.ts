import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { v4 as uuidv4 } from 'uuid';
import { CONVERSATION_RECORDS } from '../../contracts/conversations/conversations.js';
import { keyToken } from '../../contracts/wire/key-token.js';
import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { OPERATIONS } from '../../contracts/api/operations.js';
import { lastBySubject } from '../../src/broker/read.js';
import { Records } from '../../src/broker/records.js';
import { lastState } from '../../src/broker/task-states.js';
import { readHistory } from '../../workers/attempt/history.js';
import { newRecord } from '../../src/conversations/create.js';
import { AgentsOver, type Said } from '../fixtures/agents.js';
import { LOCAL } from '../../src/access/principal.js';
import { ApiLab } from '../fixtures/api.js';
import { silent } from '../fixtures/connection.js';

const OWNER = LOCAL.owner;

describe('a bad record', () => {
  let lab: ApiLab;
  let here: AgentsOver;
  before(async () => {
    lab = await ApiLab.start();
    here = new AgentsOver(() => lab.url);
  });
  after(() => lab.stop());

  const ask = async (method: string, path: string, status: number, body?: object): Promise<Said> => {
    const answer = await here.ask(method, path, body);
    assert.equal(answer.status, status, `${method} ${path}: ${JSON.stringify(answer.body)}`);
    return answer;
  };
  const store = (subject: string, record: unknown): Promise<unknown> =>
    lab.broker.publisher.publish({ subject, payload: typeof record === 'string' ? record : JSON.stringify(record) });

  it('is not made by a large budget of a conversation', async () => {
    const { body } = await ask('POST', '/conversations', 201, {
      topic: 'x',
      mode: 'debate',
      agents: 2,
      budget_usd: 1_000_001,
    });
    const path = `/conversations/${String(body['conversation_id'])}`;
    assert.equal((await ask('GET', path, 200)).body['budget_usd'], 1_000_001);
    await ask('GET', '/conversations', 200);
    await ask('POST', `${path}/pause`, 200);
    await ask('DELETE', path, 204);
  });

  it('is not written', async () => {
    const id = uuidv4();
    const request = { topic: 'x', mode: 'debate', agents: 2 } as const;
    const record = newRecord(request, { conversationId: id, owner: OWNER, tokenId: 'local', now: Date.now() });
    const bad = { ...record, turns: -1 };
    const written = new Records(lab.broker, CONVERSATION_RECORDS, silent).create([id], bad);
    await assert.rejects(written, { kind: 'refused', message: /turns/ });
    await ask('GET', `/conversations/${id}`, 404);
  });

  it('of a conversation or an agent is left out of lists, and can be deleted, also with its owner', async () => {
    for (const [path, subject] of [
      ['/conversations', SUBJECT.conversation],
      ['/agents', SUBJECT.agent],
    ] as const) {
      const [one, two] = [uuidv4(), uuidv4()];
      for (const id of [one, two]) await store(subject(id), { owner: OWNER, status: 'odd' });
      const shown = (await ask('GET', path, 200)).body['items'];
      assert.ok(Array.isArray(shown) && !JSON.stringify(shown).includes(one));
      assert.equal((await ask('GET', `${path}/${one}`, 500)).body['code'], 'record_unreadable');
      await ask('DELETE', `${path}/${one}`, 204);
      await ask('GET', `${path}/${one}`, 404);
      await ask('DELETE', `/owners/${OWNER}`, 204);
      await ask('GET', `${path}/${two}`, 404);
    }
  });

  it('of an owner is left out of lists, and can be deleted or replaced', async () => {
    await ask('PUT', '/shared/good', 200, { value: 1 });
    await ask('POST', '/identities', 201, { agent_id: 'good' });
    for (const [subject, path] of [
      [SUBJECT.shared(OWNER, keyToken('bad')), '/shared'],
      [SUBJECT.identity(OWNER, 'bad'), '/identities'],
      [SUBJECT.profile(OWNER, keyToken('bad')), '/profiles'],
    ] as const)
      for (const record of ['{', { v: 0 }]) {
        await store(subject, record);
        const shown = JSON.stringify((await ask('GET', path, 200)).body['items']);
        assert.equal(shown.includes('good'), path !== '/profiles', shown);
        assert.equal((await ask('GET', `${path}/bad`, 500)).body['code'], 'record_unreadable');
        await ask('DELETE', `${path}/bad`, 204);
        await ask('GET', `${path}/bad`, 404);
      }
    await store(SUBJECT.shared(OWNER, keyToken('bad')), '{');
    await ask('PUT', '/shared/bad', 200, { value: 2 });
    assert.equal((await ask('GET', '/shared/bad', 200)).body['value'], 2);
  });

  it('of a worker fails no list of workers or queues', async () => {
    await store(SUBJECT.worker('odd', 'odd'), '{');
    for (const path of ['/workers', '/queues']) await ask('GET', path, 200);
  });

  it("of a task's state is skipped by the worker that reads the task's history", async () => {
    for (const garbage of GARBAGE) {
      const { task_id: id } = await lab.spawn({ prompt: 'x' });
      await store(SUBJECT.ingest(SUBJECT.taskState(id, 'start')), garbage);
      const bad = await lastBySubject(lab.broker, STREAM.events, SUBJECT.taskStates(id));
      assert.equal(bad?.subject, SUBJECT.taskState(id, 'start'));
      const position = await readHistory(lab.broker, id, silent);
      // It counts as an attempt whose worker is lost.
      assert.deepEqual(position, {
        kind: 'again',
        running: { seq: 0, delivery: 0 },
        last: await lastState(lab.broker, id),
        attempts: 1,
        failures: 0,
        lostStarts: 1,
        retryAt: undefined,
        transcriptSeq: undefined,
      });
      await store(SUBJECT.ingest(SUBJECT.taskState(id, 'complete')), garbage);
      assert.deepEqual(await readHistory(lab.broker, id, silent), { kind: 'ended', held: undefined });
    }
  });

  it('of any kind fails no list, read or deletion of anything', async () => {
    const task = await lab.spawn({ prompt: 'x', session_id: 'good' });
    await lab.finish(task);
    await ask('PUT', '/shared/good', 200, { value: 1 });
    await ask('POST', '/identities', 201, { agent_id: 'good-identity' });
    await ask('POST', '/agents/register', 201, { agent_id: 'good-agent' });
    const { body: conversation } = await ask('POST', '/conversations', 201, { topic: 'x', mode: 'debate', agents: 2 });
    const good = String(conversation['conversation_id']);

    const ids: string[] = [];
    for (const garbage of GARBAGE) {
      const id = uuidv4();
      ids.push(id);
      await Promise.all(placesOf(id).map((subject) => store(subject, garbage)));
    }
    // What is a record, but not of its kind, of what there is otherwise.
    for (const garbage of GARBAGE) {
      for (const subject of [
        SUBJECT.conversationLine(good, uuidv4()),
        SUBJECT.agentMessage('good-agent', 'DIRECT_MESSAGE'),
      ])
        await store(subject.startsWith('ksi.events') ? SUBJECT.ingest(subject) : subject, garbage);
      await store(SUBJECT.transcript(task.session_id), garbage);
    }
    // Its event comes after all of these.
    await lab.finish(await lab.spawn({ prompt: 'last' }));

    const failed: string[] = [];
    const request = async (method: string, path: string): Promise<Said> => {
      const answer = await here
        .ask(method, path)
        .catch((error: unknown) => ({ status: 599, body: { code: String(error) } }));
      const ofItself = method === 'GET' && (path === '/retention' || ids.some((id) => path.includes(id)));
      // No worker runs here that could read a working folder.
      const code = answer.body['code'];
      const expected = (ofItself && code === 'record_unreadable') || code === 'worker_unreachable';
      if (answer.status >= 500 && !expected)
        failed.push(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
      return answer;
    };
    for (const [name, { method, path }] of Object.entries(OPERATIONS))
      if (method === 'GET' && name !== 'task_event_body')
        for (const id of path.includes(':')
          ? [...ids, task.task_id, task.session_id, good, 'good', 'good-agent']
          : [''])
          await request(method, path.replace(/:[a-z_]+/, id));
    for (const path of [
      '/tasks?include=output',
      '/tasks?include=not_accepted',
      '/conversations?owner=*',
      '/agents?owner=*',
    ])
      await request('GET', path);
    const listed = async (path: string, what: string): Promise<void> =>
      assert.ok(JSON.stringify((await request('GET', path)).body).includes(what), path);
    await listed('/tasks', task.task_id);
    await listed('/tasks?include=output', '"result":"done"');
    await listed('/sessions', task.session_id);
    await listed('/shared', '"good"');
    await listed('/identities', 'good-identity');
    await listed('/agents', 'good-agent');
    await listed('/conversations', good);
    await listed('/usage', 'tasks');
    assert.equal((await request('POST', '/retention/run')).status, 200);
    assert.deepEqual(failed.splice(0), []);

    for (const [name, { method, path }] of Object.entries(OPERATIONS))
      if (method === 'DELETE' && path.includes(':') && name !== 'owner_delete')
        for (const id of ids) await request(method, path.replace(/:[a-z_]+/, id));
    for (const path of [
      '/tasks?status=completed',
      `/sessions/${task.session_id}`,
      `/conversations/${good}`,
      '/shared/good',
    ])
      await request('DELETE', path);
    for (let tries = 0; tries < 2; tries++) await request('DELETE', `/owners/${OWNER}`);
    assert.deepEqual(failed, []);
  });
});

/** What a record can be that is none: no JSON, JSON of another shape, and objects that lack what all of them have. */
const GARBAGE: readonly unknown[] = [
  '{',
  '\u0000',
  'null',
  '7',
  '"text"',
  '[]',
  {},
  { v: 0 },
  { v: 1, owner: OWNER },
  { v: 1, owner: 7, entries: 7, rewind_to: 'x', ref: 7, workspace: 7, value: null },
  { v: 1, id: 7, type: 'SPAWN_QUEUED', timestamp: 'now', data: null },
  { v: 1, id: 'x', type: 'SPAWN_QUEUED', timestamp: 'now', data: {} },
  { v: 1, id: 'x', type: 'SPAWN_COMPLETE', timestamp: 'now', data: { task_id: 7, owner: 7, ref: 7, usage: 7 } },
  { v: 1, id: 'x', type: 'SPAWN_COMPLETE', timestamp: 'now', data: { owner: OWNER, agent_id: 'good-agent', ref: {} } },
  {
    v: 1,
    id: 'x',
    type: 'AGENT_MESSAGE',
    timestamp: 'now',
    data: { owner: OWNER, from: 7, content: 7, ref: { name: 'x', size: 1 } },
  },
];

/** Where the records of every kind stand, of one id. */
const placesOf = (id: string): string[] => [
  SUBJECT.sessionRecord(id),
  SUBJECT.sessionName(OWNER, keyToken(id)),
  SUBJECT.token(id),
  SUBJECT.ticket(id),
  SUBJECT.idempotency(id),
  SUBJECT.identity(OWNER, id),
  SUBJECT.profile(OWNER, keyToken(id)),
  SUBJECT.shared(OWNER, keyToken(id)),
  SUBJECT.approvalRule(OWNER, id),
  SUBJECT.exchange(OWNER, id),
  SUBJECT.retention(OWNER),
  SUBJECT.retentionLease,
  SUBJECT.audit(OWNER, 'spawn'),
  SUBJECT.worker(id, id),
  SUBJECT.agent(id),
  SUBJECT.inboxCursor(id),
  SUBJECT.agentPresence(id),
  SUBJECT.conversation(id),
  SUBJECT.conversationLine(id, id),
  SUBJECT.transcript(id),
  SUBJECT.transcriptSub(id, 'eA'),
  SUBJECT.sessionWorkspace(id),
  SUBJECT.places(id),
  SUBJECT.dead('default', id),
  SUBJECT.ended(id),
  ...[
    SUBJECT.sharedEvent(OWNER, keyToken(id)),
    SUBJECT.workerEvent(id, 'online'),
    SUBJECT.agentMessage(id, 'DIRECT_MESSAGE'),
    SUBJECT.agentEvent(id, 'registered'),
    SUBJECT.conversationEvent(id, 'started'),
    ...['queued', 'start', 'complete'].map((token) => SUBJECT.taskState(id, token)),
    SUBJECT.taskOutput(id),
    SUBJECT.taskApproval(id),
    SUBJECT.taskInput(id),
  ].map(SUBJECT.ingest),
];
