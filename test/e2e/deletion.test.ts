import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { request } from 'undici';
import type { SpawnAccepted, Task } from '../../contracts/index.js';
import { KsiClient } from '../../src/client/client.js';
import { startMessagesStandin, type MessagesStandin } from '../../src/standin/messages/server.js';
import { startCluster, type TestCluster } from '../fixtures/cluster.js';
import { filesWith, storedLeftovers } from '../fixtures/leftovers.js';

const LARGE = 1_200_000;

/** Every list, and what is shown of agents that stay. */
const LISTS = [
  '/tasks?include=output',
  '/sessions',
  '/dead',
  '/approvals',
  '/usage?by=session',
  '/agents',
  ...['ann', 'bob', 'carl'].flatMap((id) => [`/agents/${id}`, `/agents/${id}/inbox`]),
  '/conversations',
  '/shared',
  '/identities',
  '/queues',
  '/workers',
  '/health',
];

/** What was deleted is looked for by every way that there is. */
describe('deletion', () => {
  let standin: MessagesStandin;
  let cluster: TestCluster;
  before(async () => {
    standin = await startMessagesStandin();
    cluster = await startCluster({ KSI_APIS: '2', ANTHROPIC_BASE_URL: standin.url, ANTHROPIC_API_KEY: 'sk-ant-test' });
  });
  after(async () => {
    await cluster.stop();
    await standin.stop();
  });

  const ask = async (method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: object, url = cluster.url) => {
    const answer = await request(`${url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${cluster.token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.body.text();
    return { status: answer.statusCode, body: (text === '' ? {} : JSON.parse(text)) as Record<string, unknown> };
  };
  const ended = async (request: object): Promise<Task> => {
    const { status, body } = await ask('POST', '/spawn?wait=60', request);
    assert.equal(status, 200, JSON.stringify(body).slice(0, 500));
    return body as unknown as Task;
  };
  const run = (prompt: string, session: string): Promise<Task> => ended({ prompt, session_id: session });
  const otherApi = (): string => (cluster.endpoints['apis'] as { url: string }[])[1]?.url ?? '';
  const expectMissing = async (path: string): Promise<void> => {
    assert.equal((await ask('GET', path)).status, 404);
    while ((await ask('GET', path, undefined, otherApi())).status !== 404);
  };

  /** All events that an API still has, as a client reads them that was away for long. */
  async function* allEvents(url: string): AsyncGenerator<string> {
    const client = new KsiClient({ url, token: cluster.token });
    try {
      const end = (await client.agents.register({ agent_id: 'the-end' })).agent_id;
      for await (const message of client.events({ since: '0' })) {
        yield JSON.stringify(message);
        if ('type' in message && message.type === 'AGENT_REGISTERED' && message.data['agent_id'] === end) return;
      }
    } finally {
      await client.agents.remove('the-end');
      await client.close();
    }
  }
  const nothingLeft = async (canary: string): Promise<void> => {
    const { found, looked } = await storedLeftovers(cluster, canary);
    assert.ok(looked > 20);
    assert.deepEqual(found, []);
    // Free pages of databases and free blocks of the broker keep bytes for a while: docs/security.md.
    const inFiles = (): string[] =>
      filesWith(cluster.dir, canary).filter((file) => !file.endsWith('.mdb') && !file.endsWith('.blk'));
    while (inFiles().some((file) => file.startsWith('workspaces/')));
    assert.deepEqual(inFiles(), []);
  };

  it('of a task takes its events and its prompt, at every API, and leaves the others', async () => {
    const one = await run('canary-one', 'first');
    const two = await run('canary-two', 'first');
    assert.equal((await ask('DELETE', `/tasks/${one.task_id}`)).status, 204);
    await expectMissing(`/tasks/${one.task_id}`);
    assert.equal((await ask('GET', `/tasks/${one.task_id}/events`)).status, 404);
    assert.equal((await ask('POST', `/tasks/${one.task_id}/retry`)).status, 404);
    assert.equal((await ask('DELETE', `/tasks/${one.task_id}`)).status, 404);
    assert.equal((await ask('GET', `/tasks/${two.task_id}`)).status, 200);
  });

  it('of the only task of a session takes the session', async () => {
    const { status, body } = await ask('POST', '/spawn?wait=60', { prompt: 'canary-alone' });
    assert.equal(status, 200);
    const { task_id: id, session_id: session } = body as unknown as Task;
    const folder = join(cluster.dir, 'workspaces', session);
    assert.ok(existsSync(folder));
    assert.equal((await ask('DELETE', `/tasks/${id}`)).status, 204);
    await expectMissing(`/tasks/${id}`);
    await expectMissing(`/sessions/${session}`);
    while (existsSync(folder));
    const resumed = await ask('POST', '/spawn', { prompt: 'x', session_id: session, resume_only: true });
    assert.deepEqual([resumed.status, resumed.body['code']], [404, 'session_not_found']);
  });

  it('is refused while a task is open', async () => {
    const { body } = await ask('POST', '/spawn', { prompt: 'x [[delay:20000]]', session_id: 'busy' });
    const { task_id: id } = body as unknown as SpawnAccepted;
    for (const path of [`/tasks/${id}`, '/sessions/busy'])
      assert.deepEqual(
        [(await ask('DELETE', path)).status, (await ask('DELETE', path)).body['code']],
        [409, 'not_ended'],
      );
    assert.equal((await ask('POST', `/tasks/${id}/cancel`)).status, 200);
    assert.equal((await ask('DELETE', '/sessions/busy')).status, 204);
    assert.equal((await ask('DELETE', '/sessions/busy')).status, 404);
  });

  it('of a session takes its transcript, its folders and its bodies; of an owner, all sessions', async () => {
    const short = await run('canary-three remember the word heliotrope', 'second');
    const long = await run(`canary-four ${'x'.repeat(LARGE)}`, 'second');
    const kept = await run('canary-five', 'third');
    const folder = join(cluster.dir, 'workspaces', short.session_id);
    assert.ok(existsSync(folder));
    assert.equal((await ask('DELETE', '/sessions/second')).status, 204);
    for (const { task_id: id } of [short, long]) await expectMissing(`/tasks/${id}`);
    while (existsSync(folder));
    assert.equal((await ask('POST', '/spawn', { prompt: 'x', session_id: 'second', resume_only: true })).status, 404);
    assert.equal((await ask('GET', `/tasks/${kept.task_id}`)).status, 200);
    for (const [method, path, body] of [
      ['POST', '/agents/register', { agent_id: 'gone', role: 'canary-role' }],
      ['POST', '/agents/gone/messages', { content: 'canary-message' }],
      ['POST', '/agents/gone/messages', { content: `canary-large ${'x'.repeat(LARGE)}` }],
      ['PUT', '/shared/gone', { value: 'canary-shared' }],
      ['PUT', '/shared/gone', { value: 'canary-shared again' }],
      ['POST', '/identities', { agent_id: 'gone', display_name: 'canary-identity' }],
      ['PUT', '/profiles/gone', { role: 'canary-profile' }],
    ] as const) {
      const { status, body: response } = await ask(method, path, body);
      assert.ok(status < 300, `${path}: ${JSON.stringify(response)}`);
    }
    assert.equal((await ask('DELETE', '/owners/local')).status, 204);
    await expectMissing(`/tasks/${kept.task_id}`);
    assert.deepEqual((await ask('GET', '/tasks')).body['items'], []);
  });

  it('leaves nothing at the broker, nor on the disks of workers', async () => {
    // In each prompt above, and so in each answer.
    await nothingLeft('canary-');
  });

  it('of tasks of every kind leaves nothing of what was asked and answered', async () => {
    const canary = 'goldfinch7f3e9a';
    const since = (await ask('GET', '/tasks')).body;
    assert.deepEqual(since['items'], []);
    const whole = await ended({
      prompt: `${canary} [[tool:Bash {"command":"git init -q; echo ${canary} | tee ${canary}.txt"}]]`,
      system_prompt: `${canary} system`,
      allowed_tools: ['Bash'],
      attachments: [
        { name: `${canary}.txt`, media_type: 'text/plain', data: Buffer.from(`the ${canary}`).toString('base64') },
      ],
      metadata: { note: canary },
    });
    const failed = await ended({
      prompt: `${canary} ${'x'.repeat(LARGE)} [[status:400]]`,
      max_attempts: 1,
      retry_on: ['claude_invalid_request'],
    });
    while ((await ask('GET', `/dead/${failed.task_id}`)).status !== 200);
    // A managed agent makes a task for itself, and answers an agent that another one subscribes to.
    for (const agent of [
      { agent_id: 'ann' },
      { agent_id: 'carl', subscriptions: ['DIRECT_MESSAGE'] },
      {
        agent_id: 'bob',
        kind: 'managed',
        agent_tools: ['spawn'],
        options: { allowed_tools: ['mcp__ksi__task_spawn'] },
      },
    ])
      assert.equal((await ask('POST', '/agents/register', agent)).status, 201);
    const call = JSON.stringify({ prompt: `${canary} child`, wait_s: 30 });
    const content = `${canary} message [[tool:mcp__ksi__task_spawn ${call}]]`;
    assert.equal((await ask('POST', '/messages', { from: 'ann', to: 'bob', content })).status, 202);
    const { body } = await ask('GET', '/agents/ann/inbox?wait=60');
    const [answer] = body['items'] as { task_id: string; content: string }[];
    assert.match(answer?.content ?? '', new RegExp(canary));
    const ofAgent = answer?.task_id ?? '';
    const children = (await ask('GET', `/tasks?spawned_by=${ofAgent}`)).body['items'] as Task[];
    assert.equal(children.length, 1);
    const [child] = children;

    assert.equal((await ask('DELETE', `/tasks/${ofAgent}`)).status, 204);
    // The child is a task of its own and stays.
    assert.match((await ask('GET', `/tasks/${child?.task_id}`)).body['prompt_preview'] as string, new RegExp(canary));
    for (const id of [whole.task_id, failed.task_id, child?.task_id])
      assert.equal((await ask('DELETE', `/tasks/${id}`)).status, 204);
    for (const id of [whole.task_id, failed.task_id, child?.task_id, ofAgent]) await expectMissing(`/tasks/${id}`);
    for (const { session_id: id } of [whole, failed]) await expectMissing(`/sessions/${id}`);

    for (const url of [cluster.url, otherApi()]) {
      for (const path of LISTS) {
        const { status, body } = await ask('GET', path, undefined, url);
        assert.equal(status, 200, path);
        assert.ok(!JSON.stringify(body).includes(canary), `GET ${path} tells what was deleted`);
      }
      for await (const event of allEvents(url)) assert.ok(!event.includes(canary), event.slice(0, 300));
    }
    await nothingLeft(canary);
  });
});
