import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { connect, nkeyAuthenticator, type NatsConnection } from '@nats-io/transport-node';
import { request } from 'undici';
import { WebSocket } from 'ws';
import type { DeadSummary, EventEnvelope, SpawnAccepted, Task } from '../../contracts/index.js';
import { startMessagesStandin, type MessagesStandin, type RecordedRequest } from '../../src/standin/messages/server.js';
import { startCluster, type TestCluster } from '../fixtures/cluster.js';

/** The whole way of the data as `make up` starts it: two APIs, two workers, the real claude, the stand-in for the Messages API. */
describe('the main job, end to end', () => {
  let standin: MessagesStandin;
  let cluster: TestCluster;
  before(async () => {
    standin = await startMessagesStandin();
    cluster = await startCluster({
      KSI_WORKERS: '2',
      KSI_APIS: '2',
      KSI_CONCURRENCY: '2',
      KSI_LEASE_S: '4',
      ANTHROPIC_BASE_URL: standin.url,
      ANTHROPIC_API_KEY: 'sk-ant-test',
    });
  });
  after(async () => {
    await cluster.stop();
    await standin.stop();
  });

  const authorized = (): Record<string, string> => ({ authorization: `Bearer ${cluster.token}` });
  const post = async (body: object, query = ''): Promise<{ status: number; body: unknown }> => {
    const answer = await request(`${cluster.url}/spawn${query}`, {
      method: 'POST',
      headers: { ...authorized(), 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    return { status: answer.statusCode, body: await answer.body.json() };
  };
  const get = async (path: string): Promise<{ status: number; body: unknown }> => {
    const answer = await request(`${cluster.url}${path}`, { headers: authorized() });
    return { status: answer.statusCode, body: await answer.body.json() };
  };
  const resultOf = (body: unknown): string => String((body as Task).output?.['result']);

  it('serves a simple client: post, then connect, then wait for SPAWN_COMPLETE', async () => {
    const answer = await post({ prompt: 'Say hello', session_id: null, allowed_tools: null });
    const accepted = answer.body as SpawnAccepted;
    assert.equal(answer.status, 202);
    assert.equal(accepted.status, 'queued');
    const socket = new WebSocket(`${cluster.url.replace('http', 'ws')}/events`, { headers: authorized() });
    const complete = await new Promise<EventEnvelope>((resolve, reject) => {
      socket.on('error', reject);
      socket.on('message', (data: Buffer) => {
        const event = JSON.parse(data.toString('utf8')) as EventEnvelope;
        if (event.type === 'SPAWN_COMPLETE' && event.data['task_id'] === accepted.task_id) resolve(event);
      });
    });
    socket.close();
    const output = complete.data['output'] as { result: string; subtype: string };
    assert.equal(output.subtype, 'success');
    assert.match(output.result, /Say hello/);
  });

  it('tells every message of a run in order, without a gap in n, the same over JSON and SSE', async () => {
    const answer = await post({ prompt: 'Say [[say:one two three]]' }, '?wait=60');
    assert.equal(answer.status, 200);
    const { task_id: id } = answer.body as Task;
    const events = ((await get(`/tasks/${id}/events`)).body as { items: EventEnvelope[] }).items;
    const types = events.map((event) => event.type);
    assert.equal(types[0], 'SPAWN_QUEUED');
    assert.equal(types[1], 'SPAWN_START');
    assert.equal(types.at(-1), 'SPAWN_COMPLETE');
    assert.ok(types.includes('SPAWN_MESSAGE'));
    assert.deepEqual(
      events.slice(1).map((event) => event.data['n']),
      events.slice(1).map((_, index) => index + 1),
    );
    const sse = await request(`${cluster.url}/tasks/${id}/events`, {
      headers: { ...authorized(), accept: 'text/event-stream' },
    });
    const streamed = (await sse.body.text())
      .split('\n')
      .filter((line) => line.startsWith('data:'))
      .map((line) => JSON.parse(line.slice(5)) as EventEnvelope);
    assert.deepEqual(streamed, events);
  });

  it('continues a named session on whichever worker is free, in order', async () => {
    const session = 'e2e.notes';
    const prompts = ['The key is under the mat', 'The cat is on the roof', 'What did I say before?'];
    const accepted: SpawnAccepted[] = [];
    for (const prompt of prompts) accepted.push((await post({ prompt, session_id: session })).body as SpawnAccepted);
    assert.equal(new Set(accepted.map((task) => task.session_id)).size, 1);
    assert.ok(accepted.every((task) => task.session_name === session));
    const last = await finished(accepted[2]?.task_id ?? '');
    assert.match(resultOf(last), /under the mat/);
    assert.match(resultOf(last), /on the roof/);
    const tasks = await Promise.all(accepted.map((task) => finished(task.task_id)));
    for (let i = 1; i < tasks.length; i++)
      assert.ok((tasks[i]?.started_at ?? '') >= (tasks[i - 1]?.ended_at ?? 'z'), 'two runs at once');
    assert.equal(standin.requests.length > 0, true);
  });

  const finished = async (id: string): Promise<Task> => {
    const stream = await request(`${cluster.url}/tasks/${id}/events`, {
      headers: { ...authorized(), accept: 'text/event-stream' },
    });
    await stream.body.dump();
    return (await get(`/tasks/${id}`)).body as Task;
  };

  it('says what went wrong, with a stable code and what to do', async () => {
    const answer = await post({ prompt: 'Fail [[status:400]]' }, '?wait=60');
    const task = answer.body as Task;
    assert.equal(answer.status, 200);
    assert.equal(task.status, 'failed');
    assert.equal(task.error?.code, 'claude_invalid_request');
    assert.match(task.error?.message ?? '', /\S/);
  });

  it('answers the same from the other API', async () => {
    const { task_id: id } = (await post({ prompt: 'Both know' }, '?wait=60')).body as Task;
    const other = cluster.url.replace(/\d+$/, (port) => String(Number(port) + 1));
    const answer = await request(`${other}/tasks/${id}`, { headers: authorized() });
    assert.equal(((await answer.body.json()) as Task).status, 'completed');
  });

  describe('over NATS', () => {
    const signIn = async (user: string): Promise<NatsConnection> =>
      connect({
        servers: (cluster.endpoints['nats'] as { url: string }).url,
        authenticator: nkeyAuthenticator(
          new TextEncoder().encode((await readFile(join(cluster.dir, 'nats', `${user}.nk`), 'utf8')).trim()),
        ),
        inboxPrefix: `_INBOX_${user}`,
      });

    it('takes a spawn from the operator, and shows its events to the observer', async () => {
      const observer = await signIn('observer');
      const operator = await signIn('operator');
      const seen = observer.subscribe('ksi.events.task.*.state.complete');
      await observer.flush();
      const answer = await operator.request('ksi.api.spawn', JSON.stringify({ prompt: 'Over NATS' }), {
        timeout: 5_000,
      });
      const accepted = answer.json<SpawnAccepted>();
      for await (const message of seen) {
        if (message.json<EventEnvelope>().data['task_id'] !== accepted.task_id) continue;
        assert.ok(Number(message.headers?.get('Nats-Sequence')) > 0);
        break;
      }
      const task = await operator.request('ksi.api.task', JSON.stringify({ id: accepted.task_id }), { timeout: 5_000 });
      assert.equal(task.json<Task>().status, 'completed');
      const page = await operator.request('ksi.api.tasks', '{"limit":1}', { timeout: 5_000 });
      assert.equal(page.json<{ items: Task[] }>().items.length, 1);
      await observer.close();
      await operator.close();
    });

    it('refuses a bad spawn with the problem that HTTP gives', async () => {
      const operator = await signIn('operator');
      const answer = await operator.request('ksi.api.spawn', '{"promt":"x"}', { timeout: 5_000 });
      const http = (await post({ promt: 'x' })).body as { code: string; errors: unknown };
      assert.equal(answer.headers?.get('Nats-Service-Error-Code'), '400');
      assert.equal(answer.json<{ code: string }>().code, http.code);
      assert.deepEqual(answer.json<{ errors: unknown }>().errors, http.errors);
      await operator.close();
    });
  });

  describe('ksi, the command', () => {
    it('prints the answer and nothing else to stdout', async () => {
      const done = await cluster.ksi(['spawn', 'Say [[say:forty-two]]']);
      assert.equal(done.code, 0, done.stderr);
      assert.match(done.stdout, /forty-two/);
    });

    it('ends with 5 when the task failed, and says why', async () => {
      const done = await cluster.ksi(['spawn', 'Fail [[status:400]]']);
      assert.equal(done.code, 5);
      assert.equal(done.stdout, '');
      assert.match(done.stderr, /claude_invalid_request/);
    });

    it('gives an id at once, follows it, lists and shows it', async () => {
      const spawned = await cluster.ksi(['spawn', '--no-wait', 'Follow me']);
      assert.equal(spawned.code, 0, spawned.stderr);
      const id = spawned.stdout.trim();
      assert.match(id, /^[0-9a-f-]{36}$/);
      const logs = await cluster.ksi(['logs', '-f', id]);
      assert.equal(logs.code, 0, logs.stderr);
      assert.match(logs.stdout, /SPAWN_COMPLETE/);
      const task = await cluster.ksi(['task', id, '-o', 'json']);
      assert.equal((JSON.parse(task.stdout) as Task).status, 'completed');
      const tasks = await cluster.ksi(['tasks', '--limit', '5']);
      assert.ok(tasks.stdout.includes(id));
    });

    it('cancels a task that runs, and runs it again', async () => {
      const id = (await cluster.ksi(['spawn', '--no-wait', 'Cancel me [[hang]]'])).stdout.trim();
      await standin.waitFor(asks('Cancel me'));
      const cancelled = await cluster.ksi(['cancel', id]);
      assert.equal(cancelled.code, 0, cancelled.stderr);
      assert.equal(cancelled.stdout, `${id}  cancelled\n`);
      const again = (await cluster.ksi(['retry', id])).stdout.trim();
      const { retry_of: of } = (await get(`/tasks/${again}`)).body as Task;
      assert.equal(of, id);
      assert.equal((await cluster.ksi(['cancel', again])).code, 0);
      const tooLate = await cluster.ksi(['interrupt', again]);
      assert.equal(tooLate.code, 1);
      assert.match(tooLate.stderr, /task_ended.*ksi task ID/);
    });

    it('shows what was given up, puts it back and deletes it', async () => {
      const spawned = ['spawn', '--max-attempts', '1', '--retry-on', 'claude_invalid_request', 'Fail [[status:400]]'];
      assert.equal((await cluster.ksi(spawned)).code, 5);
      const letters = async (): Promise<DeadSummary[]> =>
        JSON.parse((await cluster.ksi(['dead', '-o', 'json'])).stdout) as DeadSummary[];
      const [letter] = await letters();
      assert.equal(letter?.error.code, 'claude_invalid_request');
      const shown = await cluster.ksi(['dead', 'show', letter.task_id]);
      assert.match(shown.stdout, /Fail \[\[status:400\]\][^]*SPAWN_ERROR/);
      const back = await cluster.ksi(['dead', 'retry', letter.task_id]);
      assert.equal(back.code, 0, back.stderr);
      const [of, again = ''] = back.stdout.trim().split(/ +/);
      assert.equal(of, letter.task_id);
      const ended = await finished(again);
      assert.equal(ended.retry_of, letter.task_id, JSON.stringify(ended));
      assert.deepEqual(
        (await letters()).map(({ task_id }) => task_id),
        [again],
      );
      assert.equal((await cluster.ksi(['dead', 'delete', again])).stdout, `${again}\n`);
      assert.deepEqual(await letters(), []);
    });

    it('says what to do about a wrong token', async () => {
      const done = await cluster.ksi(['tasks'], { env: { KSI_TOKEN: 'wrong', KSI_URL: cluster.url } });
      assert.equal(done.code, 4);
      assert.match(done.stderr, /token/i);
    });
  });

  it('runs a task elsewhere when its worker is killed, and starts the worker again', async () => {
    const accepted = (await post({ prompt: 'Hold on [[hang]]' })).body as SpawnAccepted;
    await standin.waitFor(holdsOn);
    const worker = (await started(accepted.task_id)).data['worker_id'];
    const status = JSON.parse((await cluster.ksi(['status', '-o', 'json'])).stdout) as {
      processes: { name: string; pid: number }[];
    };
    const log = async (name: string): Promise<string> => readFile(join(cluster.dir, 'logs', `${name}.log`), 'utf8');
    let victim: number | undefined;
    for (const { name, pid } of status.processes) {
      if (name.startsWith('worker') && (await log(name)).includes(String(worker))) victim = pid;
    }
    assert.ok(victim, 'the worker that runs it is one of the cluster');
    process.kill(victim, 'SIGKILL');
    // The second attempt asks the stand-in again; both are let go.
    let requestCount = 0;
    await standin.waitFor((seen) => holdsOn(seen) && ++requestCount === 2);
    standin.release();
    const task = await finished(accepted.task_id);
    assert.equal(task.status, 'completed');
    assert.equal(task.attempt, 2);
  });

  const asks =
    (what: string) =>
    (seen: RecordedRequest): boolean =>
      seen.conversation?.prompts.some((prompt) => prompt.includes(what)) === true;
  const holdsOn = asks('Hold on');

  const started = async (id: string): Promise<EventEnvelope> => {
    const events = ((await get(`/tasks/${id}/events`)).body as { items: EventEnvelope[] }).items;
    const start = events.find((event) => event.type === 'SPAWN_START');
    assert.ok(start);
    return start;
  };
});
