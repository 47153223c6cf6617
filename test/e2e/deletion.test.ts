import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { request } from 'undici';
import { connectBroker } from '../../src/broker/connect.js';
import { inboxPrefix } from '../../src/cluster/secrets.js';
import type { SpawnAccepted, Task } from '../../contracts/index.js';
import { startMessagesStandin, type MessagesStandin } from '../../src/standin/messages/server.js';
import { silent } from '../fixtures/connection.js';
import { startCluster, type TestCluster } from '../fixtures/cluster.js';

const LARGE = 1_200_000;

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
  const run = async (prompt: string, session: string): Promise<Task> => {
    const { status, body } = await ask('POST', '/spawn?wait=60', { prompt, session_id: session });
    assert.equal(status, 200, JSON.stringify(body).slice(0, 500));
    return body as unknown as Task;
  };
  const otherApi = (): string => (cluster.endpoints['apis'] as { url: string }[])[1]?.url ?? '';
  const gone = async (path: string): Promise<void> => {
    assert.equal((await ask('GET', path)).status, 404);
    while ((await ask('GET', path, undefined, otherApi())).status !== 404);
  };

  it('of a task takes its events and its prompt, at every API, and leaves the others', async () => {
    const one = await run('canary-one', 'first');
    const two = await run('canary-two', 'first');
    assert.equal((await ask('DELETE', `/tasks/${one.task_id}`)).status, 204);
    await gone(`/tasks/${one.task_id}`);
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
    await gone(`/tasks/${id}`);
    await gone(`/sessions/${session}`);
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
    for (const { task_id: id } of [short, long]) await gone(`/tasks/${id}`);
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
      const { status, body: said } = await ask(method, path, body);
      assert.ok(status < 300, `${path}: ${JSON.stringify(said)}`);
    }
    assert.equal((await ask('DELETE', '/owners/local')).status, 204);
    await gone(`/tasks/${kept.task_id}`);
    assert.deepEqual((await ask('GET', '/tasks')).body['tasks'], []);
  });

  it('leaves nothing at the broker, nor on the disks of workers', async () => {
    const canary = 'canary-'; // In each prompt above, and so in each answer.
    const { credentials } = cluster.endpoints['nats'] as { credentials: { api: string } };
    const broker = await connectBroker({
      url: (cluster.endpoints['nats'] as { url: string }).url,
      name: 'test',
      credentialsFile: credentials.api,
      inboxPrefix: inboxPrefix('api'),
      log: silent,
    });
    let looked = 0;
    const found: string[] = [];
    for await (const { config, state } of broker.jsm.streams.list())
      for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
        const message = await broker.jsm.streams.getMessage(config.name, { seq }).catch(() => null);
        looked += 1;
        if (message?.string().includes(canary) === true) found.push(`${config.name} ${message.subject}`);
      }
    await broker.close();
    assert.ok(looked > 20);
    assert.deepEqual(found, []);
    for (const folder of ['workers', 'workspaces'])
      for (const entry of readdirSync(join(cluster.dir, folder), { recursive: true, withFileTypes: true })) {
        const file = join(entry.parentPath, entry.name);
        if (entry.isFile() && !file.includes('.mdb'))
          assert.equal(readFileSync(file).includes(canary), false, `${file} holds what was deleted`);
      }
  });
});
