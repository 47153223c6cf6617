import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { AgentView } from '../../contracts/agents/agents.js';
import type { AgentSpawned, TaskRouted } from '../../contracts/agents/agent-spawn.js';
import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
import type { SpawnCommand } from '../../contracts/tasks/spawn.js';
import type { InboxMessage } from '../../contracts/agents/messages.js';
import { lastBySubject, type Stored } from '../../src/broker/read.js';
import { KsiClient, KsiError, type SharedChange } from '../../src/client/index.js';
import { ApiLab, TOKEN, type Answer } from '../fixtures/api.js';

describe('creating agents and giving them tasks', () => {
  let lab: ApiLab;
  before(async () => {
    lab = await ApiLab.start();
  });
  after(() => lab.stop());

  const ask = (method: string, path: string, body?: object): Promise<Answer> =>
    lab.request(path, {
      method,
      ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    });
  const spawn = async (body: object): Promise<AgentSpawned> => {
    const answer = await ask('POST', '/agents/spawn', body);
    assert.equal(answer.status, 201, JSON.stringify(answer.body));
    return answer.body as unknown as AgentSpawned;
  };
  const agent = async (id: string): Promise<AgentView> =>
    (await ask('GET', `/agents/${id}`)).body as unknown as AgentView;
  const inbox = async (id: string): Promise<InboxMessage[]> =>
    (await ask('GET', `/agents/${id}/inbox`)).body['items'] as InboxMessage[];

  it('a profile supplies the fields that the request does not set', async () => {
    const spawned = await spawn({ profile: 'reviewer', capabilities: ['sql'], options: { model: 'opus' } });
    assert.match(spawned.agent_id, /^reviewer_[0-9a-f]{8}$/);
    assert.deepEqual([spawned.composition, spawned.fallback, spawned.message_id], ['reviewer', false, undefined]);
    const { kind, role, capabilities, options, profile, session_id: session } = await agent(spawned.agent_id);
    assert.deepEqual([kind, role, capabilities, profile], ['managed', 'reviewer', ['sql'], 'reviewer']);
    assert.equal(session, spawned.session_id);
    assert.deepEqual([options?.model, options?.effort], ['opus', 'high']);
    const prompt = options?.append_system_prompt ?? '';
    assert.match(prompt, new RegExp(`^You are \`${spawned.agent_id}\`, a reviewer of code`));
    assert.match(prompt, /count on you for: sql\./);
    assert.doesNotMatch(prompt, /\{\{/);
  });

  it('a composition is selected by match or by name, and combined with a profile', async () => {
    const chosen = await spawn({ role: 'tester', task: 'Write tests', agent_id: 'chosen' });
    assert.deepEqual([chosen.composition, chosen.fallback], ['tester', false]);
    assert.ok((chosen.score ?? 0) >= 30);
    const fallback = await spawn({ role: 'astronaut', agent_id: 'fallback' });
    assert.deepEqual([fallback.composition, fallback.fallback, fallback.score], ['claude_agent_default', true, 0]);
    const variables = { topic: 'tea', agent_number: 2 };
    const named = await spawn({ composition: 'conversation_debate', variables, agent_id: 'named' });
    assert.equal(named.composition, 'conversation_debate');
    assert.match((await agent('named')).options?.append_system_prompt ?? '', /topic: tea[^]*side: against/);
    await ask('PUT', '/profiles/mine', {
      composition: 'conversation_debate',
      variables: { topic: 'coffee', agent_id: 'not me' },
      options: { append_system_prompt: 'Be brief.' },
    });
    await spawn({ profile: 'mine', agent_id: 'mine-1' });
    const { options, role } = await agent('mine-1');
    assert.equal(role, 'mine');
    assert.match(options?.append_system_prompt ?? '', /^You are `mine-1`[^]*topic: coffee[^]*Be brief\.$/);
  });

  it('its task becomes a task of its session, with its prompt', async () => {
    const { session_id: session = '', agent_id: id } = await spawn({
      profile: 'coder',
      task: 'Rename it',
      context: 'x',
    });
    let stored: Stored | undefined;
    while ((stored ??= await lastBySubject(lab.broker, STREAM.commands, SUBJECT.sessionRuns(session))) === undefined);
    const command = JSON.parse(new TextDecoder().decode(stored.data)) as SpawnCommand & { agent_id: string };
    assert.equal(command.agent_id, id);
    assert.match(command.append_system_prompt ?? '', /^You are `coder_[^]*a software developer/);
    assert.deepEqual(command.permission_mode, 'acceptEdits');
    assert.match(command.prompt, /TASK_ASSIGNMENT: Rename it\nCONTEXT: x/);
  });

  it('an invalid request is refused, and nothing is registered', async () => {
    for (const [body, status, code] of [
      [{ profile: 'none' }, 404, 'not_found'],
      [{ composition: 'none' }, 404, 'not_found'],
      [{ composition: 'conversation_debate' }, 400, 'context_missing'],
      [{ variables: { capabilities_text: 'x'.repeat(300_000) } }, 400, 'invalid_request'],
      [{ agent_id: 'not/one' }, 400, 'invalid_request'],
      [{ options: { permission_mode: 'bypassPermissions' } }, 400, 'invalid_request'],
    ] as const) {
      const answer = await ask('POST', '/agents/spawn', { agent_id: 'never', ...body });
      assert.deepEqual([answer.status, answer.body['code']], [status, code], JSON.stringify(body).slice(0, 80));
    }
    assert.equal((await ask('GET', '/agents/never')).status, 404);
    assert.equal((await ask('POST', '/agents/register', { agent_id: 'never', profile: 'none' })).status, 404);
  });

  it('an external agent is created too, gets its task in its inbox, and a message id makes the request idempotent', async () => {
    await ask('PUT', '/profiles/outside', { kind: 'external', role: 'scout', capabilities: ['maps', 'walks'] });
    const messageId = '0190a7b4-5e3c-7c4e-8a57-3d8f6f3d9a10';
    const request = { profile: 'outside', agent_id: 'scout', task: 'Go', context: 'north', message_id: messageId };
    const first = await spawn(request);
    assert.equal(first.message_id, messageId);
    await spawn(request);
    const [only, ...others] = await inbox('scout');
    assert.equal(others.length, 0);
    assert.deepEqual([only?.type, only?.content], ['TASK_ASSIGNMENT', 'TASK_ASSIGNMENT: Go\nCONTEXT: north']);
    const registered = await ask('POST', '/agents/register', {
      agent_id: 'scout-2',
      profile: 'outside',
      role: 'guide',
    });
    assert.equal(registered.status, 201);
    const { role, capabilities } = await agent('scout-2');
    assert.deepEqual([role, capabilities], ['guide', ['maps', 'walks']]);
  });

  it('a task goes to the available agent with the most required capabilities', async () => {
    const none = await ask('POST', '/agents/route', { task: 'x', required_capabilities: ['alchemy'] });
    assert.deepEqual([none.status, none.body['code']], [409, 'no_suitable_agent']);
    // External, and not there.
    await ask('POST', '/agents/register', { agent_id: 'away', role: 'far', capabilities: ['dig', 'lift', 'carry'] });
    const away = await ask('POST', '/agents/route', { task: 'x', required_capabilities: ['dig'] });
    assert.deepEqual([away.status, away.body['code']], [409, 'no_available_agent']);
    await ask('POST', '/agents/register', { agent_id: 'one', kind: 'managed', role: 'digger', capabilities: ['dig'] });
    await ask('POST', '/agents/register', {
      agent_id: 'two',
      kind: 'managed',
      role: 'mover',
      capabilities: ['dig', 'lift'],
    });
    const request = { task: 'Dig', required_capabilities: ['lift', 'dig', 'dig'], context: 'here' };
    const routed = (await ask('POST', '/agents/route', request)).body as unknown as TaskRouted;
    assert.deepEqual(
      [routed.status, routed.assigned_agent, routed.agent_role, routed.match_score, routed.message],
      ['routed', 'two', 'mover', 2, 'TASK_ASSIGNMENT: Dig\nCONTEXT: here'],
    );
  });
});

describe("the client's shared state", () => {
  it('is updated without lost updates, and watched', async () => {
    const lab = await ApiLab.start();
    const client = new KsiClient({ url: lab.url, token: TOKEN });
    const stop = new AbortController();
    try {
      const seen: SharedChange[] = [];
      const watching = (async () => {
        for await (const change of client.shared.watch({ prefix: 'n/', since: '0', signal: stop.signal })) {
          seen.push(change);
          if (change.deleted) return;
        }
      })();
      await client.shared.set('other', 1);
      const add = (value: unknown): number => Number(value ?? 0) + 1;
      await Promise.all(Array.from({ length: 6 }, () => client.shared.update('n/count', add)));
      assert.equal((await client.shared.get('n/count')).value, 6);
      await assert.rejects(
        client.shared.set('n/count', 0, { revision: 1 }),
        (error) => error instanceof KsiError && error.code === 'revision_mismatch',
      );
      await client.shared.delete('n/count');
      await watching;
      assert.deepEqual(
        seen.map(({ key, value }) => [key, value]),
        [...[1, 2, 3, 4, 5, 6].map((n) => ['n/count', n]), ['n/count', undefined]],
      );
      for await (const { key } of client.shared.list()) assert.equal(key, 'other');
      const names: string[] = [];
      for await (const { name } of client.profiles.list()) names.push(name);
      assert.ok(names.includes('coder'));
      assert.equal((await client.compositions.select({ role: 'writer' })).composition, 'writer');
      assert.match((await client.compositions.compose('writer', { agent_id: 'w' })).prompt, /`w`/);
      const made = await client.agents.spawn({ profile: 'writer', agent_id: 'w' });
      assert.equal(made.composition, 'writer');
      const routed = await client.agents.route({ task: 'x', required_capabilities: ['writing'] });
      assert.deepEqual([routed.assigned_agent, routed.match_score], ['w', 1]);
      const { display_name: name } = await client.identities.create({ agent_id: 'w', role: 'writer' });
      assert.equal((await client.identities.update('w', { role: 'poet' })).display_name, name);
    } finally {
      stop.abort();
      await client.close();
      await lab.stop();
    }
  });
});
