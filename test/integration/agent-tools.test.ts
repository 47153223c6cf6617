import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { v4 as uuidv4 } from 'uuid';
import type { AuditEntry } from '../../contracts/access/audit.js';
import { MAX_DEPTH, type AgentToolAnswer } from '../../contracts/agents/tools.js';
import { FORMAT_VERSION, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import type { SpawnCommand } from '../../contracts/tasks/spawn.js';
import type { TokenCreated } from '../../contracts/access/tokens.js';
import { Blobs } from '../../src/broker/blobs.js';
import { commandOf } from '../../src/broker/commands.js';
import { eventPublication, newEvent } from '../../src/broker/events.js';
import { lastBySubject } from '../../src/broker/read.js';
import { parseJson } from '../../src/json.js';
import { auditEntries } from '../fixtures/audit-entries.js';
import { AgentsOver } from '../fixtures/agents.js';
import { ApiLab } from '../fixtures/api.js';
import { systemClock } from '../../src/clock.js';

const ALL = ['agents', 'messages', 'shared', 'spawn'];
const PROCESS = 'worker-1';

/** The broker says which process asks: that is tried in cluster-permissions.test.ts. Here the test is that process. */
describe('a call of an agent tool', () => {
  let lab: ApiLab;
  let here: AgentsOver;
  let agent: string;
  before(async () => {
    lab = await ApiLab.start();
    here = new AgentsOver(() => lab.url);
  });
  after(() => lab.stop());
  beforeEach(() => {
    agent = `agent-tools-${uuidv4().slice(0, 8)}`;
  });

  const commandIn = async (sessionId: string): Promise<SpawnCommand> => {
    for (;;) {
      const run = await lastBySubject(lab.broker, STREAM.commands, SUBJECT.sessionRuns(sessionId));
      const command = run === undefined ? undefined : await commandOf(run, new Blobs(lab.broker));
      if (command !== undefined) return command;
    }
  };
  /** Begins a task as the worker does. */
  const start = async ({ task_id, session_id, owner, agent_id }: SpawnCommand, process = PROCESS): Promise<void> => {
    const filter = SUBJECT.taskStates(task_id);
    const seq = (await lastBySubject(lab.broker, STREAM.events, filter))?.seq ?? 0;
    const begun = newEvent(systemClock, 'SPAWN_START', {
      task_id,
      session_id,
      owner,
      ...(agent_id === undefined ? {} : { agent_id }),
      attempt: 1,
      n: 1,
      worker_id: 'w_test',
      process,
      host: 'test',
      transcript_seq: 0,
      run: { seq: 1, delivery: 1 },
    });
    await lab.broker.publisher.publish(eventPublication(begun, SUBJECT.taskState(task_id, 'start'), { filter, seq }));
  };
  /** A running task of a managed agent with these hands. */
  const running = async (agent_tools = ALL, options: object = {}, as = here): Promise<SpawnCommand> => {
    const { session_id = '' } = await as.register({ agent_id: agent, kind: 'managed', agent_tools, options });
    await as.send({ to: agent, content: 'Do it.' });
    const command = await commandIn(session_id);
    await start(command);
    return command;
  };
  const ask = async (
    taskId: string,
    tool: string,
    input: object = {},
    callId = uuidv4(),
    process = PROCESS,
  ): Promise<AgentToolAnswer> => {
    const request = JSON.stringify({ v: FORMAT_VERSION, tool, call_id: callId, input });
    const answer = await lab.broker.nc.request(SUBJECT.agentTools(process, taskId), request, { timeout: 30_000 });
    return parseJson(answer.data) as AgentToolAnswer;
  };
  const done = async <T>(...asked: Parameters<typeof ask>): Promise<T> => {
    const answer = await ask(...asked);
    assert.ok(answer.ok, JSON.stringify(answer));
    return answer.result as T;
  };
  const code = async (...asked: Parameters<typeof ask>): Promise<string> => {
    const answer = await ask(...asked);
    return answer.ok ? 'ok' : answer.code;
  };

  it('is accepted only from the process that runs the task, and only for the tools of its agent', async () => {
    const { task_id: id } = await running(['agents', 'shared']);
    assert.equal(await code(id, 'agents_list'), 'ok');
    assert.equal(await code(id, 'agents_list', {}, uuidv4(), 'worker-2'), 'forbidden');
    assert.equal(await code(uuidv4(), 'agents_list'), 'forbidden');
    assert.equal(await code(id, 'task_spawn', { prompt: 'x' }), 'forbidden');
    assert.equal(await code(id, 'no_such_tool'), 'invalid_request');
    assert.equal(await code(id, 'shared_get', { key: '' }), 'invalid_request');
    // A task of nobody's, which runs there too.
    const plain = await lab.spawn();
    await start(await commandIn(plain.session_id));
    assert.equal(await code(plain.task_id, 'agents_list'), 'forbidden');
    // What was given with the task may have been taken away since.
    await here.update(agent, { agent_tools: ['agents'] });
    assert.equal(await code(id, 'shared_get', { key: 'x' }), 'forbidden');
    await here.remove(agent);
    assert.equal(await code(id, 'agents_list'), 'not_found');
  });

  it('acts as the owner, whose token must still be valid', async () => {
    const made = await lab.request('/tokens', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ owner: 'ann', scopes: ['spawn', 'agents', 'read'] }),
    });
    const { token, token_id } = made.body as unknown as TokenCreated;
    const ann = new AgentsOver(() => lab.url, token);
    await here.register({ agent_id: `local-${agent}` });
    await ann.register({ agent_id: `peer-${agent}`, role: 'peer' });
    const { task_id: id } = await running(ALL, {}, ann);
    const { agents } = await done<{ agents: { agent_id: string; role: string }[] }>(id, 'agents_list');
    assert.deepEqual(
      agents.map(({ agent_id, role }) => [agent_id, role]),
      [[`peer-${agent}`, 'peer']],
    );
    assert.equal(await code(id, 'message_send', { to: `local-${agent}`, content: 'x' }), 'not_found');
    assert.equal(await code(id, 'shared_set', { key: 'plan', value: { n: 1 } }), 'ok');
    assert.equal((await here.ask('GET', '/shared/plan')).status, 404);
    assert.deepEqual((await ann.ask('GET', '/shared/plan')).body['by'], agent);
    await lab.request(`/tokens/${token_id}`, { method: 'DELETE' });
    assert.equal(await code(id, 'agents_list'), 'unauthorized');
  });

  for (const [how, end] of Object.entries<(tokenId: string, owner: string) => Promise<unknown>>({
    'its token is revoked': (tokenId) => lab.request(`/tokens/${tokenId}`, { method: 'DELETE' }),
    'its token expires': () => Promise.resolve(),
    'its owner is deleted': (_, owner) => lab.request(`/owners/${owner}`, { method: 'DELETE' }),
  }))
    it(`ends its wait for a task when ${how}`, async () => {
      const owner = `of-${agent}`;
      const made = await lab.request('/tokens', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          owner,
          scopes: ['spawn', 'agents', 'read'],
          ...(how.includes('expires') ? { expires_in_s: 4 } : {}),
        }),
      });
      const { token, token_id } = made.body as unknown as TokenCreated;
      const { task_id: id } = await running(ALL, {}, new AgentsOver(() => lab.url, token));
      const child = await done<{ task_id: string }>(id, 'task_spawn', { prompt: 'Count.' });
      const waiting = code(id, 'task_wait', { task_id: child.task_id, wait_s: 25 });
      await end(token_id, owner);
      assert.equal(await waiting, 'unauthorized');
    });

  it('sends a message or sets shared state once', async () => {
    const { task_id: id } = await running();
    const peer = `peer-${agent}`;
    await here.register({ agent_id: peer });
    const call = uuidv4();
    for (let n = 0; n < 2; n++) await done(id, 'message_send', { to: peer, content: 'Hello.' }, call);
    const [message, ...more] = await here.inbox(peer, '?wait=5');
    assert.deepEqual([message?.from, message?.content, message?.hops, more.length], [agent, 'Hello.', 1, 0]);
    const { revision } = await done<{ revision: number }>(id, 'shared_set', { key: agent, value: [1] });
    assert.equal(await code(id, 'shared_set', { key: agent, value: [2], revision: revision + 1 }), 'revision_mismatch');
    assert.deepEqual((await done<{ value: unknown }>(id, 'shared_get', { key: agent })).value, [1]);
    assert.equal(await code(id, 'shared_get', { key: `no-${agent}` }), 'not_found');
    const sent = async (): Promise<AuditEntry[]> => {
      const message = await lastBySubject(lab.broker, STREAM.audit, SUBJECT.audit('local', 'message_send'));
      return message === undefined ? [] : auditEntries(message.data);
    };
    let entry: AuditEntry | undefined;
    while (entry === undefined) entry = (await sent()).find(({ task_id }) => task_id === id);
    const { over, agent_id, target, result } = entry;
    assert.deepEqual([over, agent_id, target, result], ['agent', agent, peer, 'ok']);
  });

  it('spawns a task once, with at most its own tools, and waits for it', async () => {
    const options = {
      allowed_tools: ['Read', 'Bash(git log:*)'],
      model: 'haiku',
      max_budget_usd: 1,
      system_prompt: 'Me',
    };
    const { task_id: id } = await running(ALL, options);
    const call = uuidv4();
    const first = await done<{ task_id: string }>(id, 'task_spawn', { prompt: 'Count.' }, call);
    const again = await done<{ task_id: string }>(id, 'task_spawn', { prompt: 'Count.' }, call);
    assert.equal(again.task_id, first.task_id);
    const task = await lab.task(first.task_id);
    assert.deepEqual([task.agent_id, task.depth, task.spawned_by], [agent, 1, id]);
    const command = await commandIn(task.session_id);
    assert.deepEqual(
      [command.model, command.allowed_tools, command.max_budget_usd, command.system_prompt, command.agent_tools],
      ['haiku', options.allowed_tools, 1, undefined, ALL],
    );
    assert.equal(await code(id, 'task_spawn', { prompt: 'x', allowed_tools: ['Write'] }), 'tool_not_allowed');
    assert.equal(await code(id, 'task_spawn', { prompt: 'x', allowed_tools: ['Bash(git log -3)'] }), 'ok');
    const open = await done<{ ended: boolean }>(id, 'task_wait', { task_id: first.task_id, wait_s: 0 });
    assert.equal(open.ended, false);
    const waiting = done(id, 'task_wait', { task_id: first.task_id, wait_s: 15 });
    await lab.finish(task);
    assert.deepEqual(await waiting, { task_id: first.task_id, status: 'completed', ended: true, result: 'done' });
  });

  it('is refused if tasks are nested too deeply', async () => {
    const peer = `peer-${agent}`;
    await here.register({ agent_id: peer });
    let { task_id: id } = await running(['spawn', 'messages']);
    for (let depth = 1; depth <= MAX_DEPTH; depth++) {
      const child = await done<{ task_id: string }>(id, 'task_spawn', { prompt: 'Go on.' });
      const task = await lab.task(child.task_id);
      assert.equal(task.depth, depth);
      await start(await commandIn(task.session_id));
      id = child.task_id;
    }
    const refused = await ask(id, 'task_spawn', { prompt: 'Go on.' });
    assert.deepEqual([refused.ok, !refused.ok && refused.code], [false, 'too_deep']);
    assert.match(JSON.stringify(refused), /3 levels/);
    // Nor do messages begin anew: all that led to it is counted.
    await done(id, 'message_send', { to: peer, content: 'Go on.' });
    assert.equal((await here.inbox(peer, '?wait=5'))[0]?.hops, MAX_DEPTH + 1);
  });
});
