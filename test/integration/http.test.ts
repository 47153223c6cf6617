import assert from 'node:assert/strict';
import { request as rawRequest } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { HEADER, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import type { Task, TaskPage } from '../../contracts/tasks/task.js';
import { Blobs } from '../../src/broker/blobs.js';
import { commandOf } from '../../src/broker/commands.js';
import { lastBySubject } from '../../src/broker/read.js';
import { ApiLab, TOKEN, type Answer } from '../fixtures/api.js';

/** Every error is a problem document that says what happened and what to do. */
function assertProblem(answer: Answer, status: number, code: string): void {
  assert.equal(answer.status, status, JSON.stringify(answer.body));
  assert.match(answer.headers.get('content-type') ?? '', /^application\/problem\+json/);
  assert.equal(answer.body['code'], code);
  assert.equal(answer.body['status'], status);
  assert.match(String(answer.body['detail']), /\. \S/, 'it says what to do next');
}
const fields = (answer: Answer): string[] =>
  (answer.body['errors'] as { field: string }[]).map(({ field }) => field).toSorted();

describe('HTTP', () => {
  let lab: ApiLab;
  before(async () => {
    lab = await ApiLab.start({
      KSI_MAX_PROMPT_CHARS: '2000000',
      KSI_MAX_BODY_BYTES: '4194304',
      KSI_QUEUES: 'default,slow',
    });
  });
  after(() => lab.stop());

  describe('POST /spawn', () => {
    it('answers 202 with the id, the place to look and a cursor from before the first event', async () => {
      const answer = await lab.post({ prompt: 'hi', session_id: null, allowed_tools: null, model: null });
      assert.equal(answer.status, 202);
      assert.equal(answer.body['status'], 'queued');
      assert.equal(answer.headers.get('location'), `/tasks/${String(answer.body['task_id'])}`);
      const client = lab.connect(`?since=${String(answer.body['since'])}`);
      const queued = await client.until(
        ({ type, data }) => type === 'SPAWN_QUEUED' && data['task_id'] === answer.body['task_id'],
      );
      assert.equal(queued.data['session_id'], answer.body['session_id']);
      client.socket.terminate();
    });

    it('can be read at once, alone and in the list', async () => {
      const { task_id: id } = await lab.spawn({ prompt: 'read me' });
      const task = await lab.task(id);
      assert.equal(task.status, 'queued');
      assert.equal(task.prompt_preview, 'read me');
      const page = (await lab.request('/tasks?limit=1')).body as unknown as TaskPage;
      assert.equal(page.items[0]?.task_id, id);
    });

    it('waits for the outcome when asked to, and says when the time is up', async () => {
      const timedOut = await lab.post({ prompt: 'x' }, '?wait=0.2');
      assert.equal(timedOut.status, 202);
      const client = lab.connect();
      await client.opened;
      const waiting = lab.post({ prompt: 'x', session_id: 'waiter' }, '?wait=30');
      const queued = await client.until(({ data }) => data['session_name'] === 'waiter');
      await lab.finish({ task_id: String(queued.data['task_id']), session_id: String(queued.data['session_id']) });
      const answer = await waiting;
      assert.equal(answer.status, 200);
      assert.deepEqual((answer.body as unknown as Task).output, { result: 'done' });
      client.socket.terminate();
    });

    it('takes a wait of any fraction of a second', async () => {
      for (const wait of ['0.99999', '0.0000001', '0.0005']) {
        const answer = await lab.post({ prompt: 'x' }, `?wait=${wait}`);
        assert.equal(answer.status, 202, `${wait}: ${JSON.stringify(answer.body)}`);
      }
    });

    it('lets a name stand for a session, whose tasks wait for each other', async () => {
      const first = await lab.spawn({ prompt: '1', session_id: 'my.notes' });
      const second = await lab.spawn({ prompt: '2', session_id: 'my.notes' });
      assert.equal(second.session_id, first.session_id);
      assert.equal(second.session_name, 'my.notes');
      assert.deepEqual([first.status, second.status], ['queued', 'waiting']);
      assert.equal((await lab.task(second.task_id)).status, 'waiting');
      const run = await lastBySubject(lab.broker, STREAM.commands, SUBJECT.sessionRuns(first.session_id));
      assert.equal(run?.header(HEADER.taskId), first.task_id);
    });

    it('keeps what a task allows with its command', async () => {
      const { session_id: session } = await lab.spawn({
        prompt: 'x',
        max_attempts: 5,
        timeout_s: 60,
        backoff: { base_s: 1 },
        retry_on: ['claude_crashed'],
      });
      const stored = await lastBySubject(lab.broker, STREAM.commands, SUBJECT.sessionRuns(session));
      assert.ok(stored);
      const command = await commandOf(stored, new Blobs(lab.broker));
      assert.deepEqual(command?.policy, {
        max_attempts: 5,
        timeout_s: 60,
        backoff: { base_s: 1 },
        retry_on: ['claude_crashed'],
      });
      assert.deepEqual(
        fields(await lab.post({ prompt: 'x', max_attempts: 0, retry_on: ['bad_luck'], backoff: { speed: 1 } })),
        ['backoff.speed', 'max_attempts', 'retry_on.0'],
      );
    });

    it('refuses to begin a session that must be there', async () => {
      assertProblem(
        await lab.post({ prompt: 'x', session_id: 'never-seen', resume_only: true }),
        404,
        'session_not_found',
      );
      assert.deepEqual(fields(await lab.post({ prompt: 'x', resume_only: true })), ['resume_only']);
      await lab.spawn({ prompt: 'x', session_id: 'seen' });
      assert.equal((await lab.post({ prompt: 'x', session_id: 'seen', resume_only: true })).status, 202);
    });

    it('takes any text for a prompt, whole', async () => {
      const blobs = new Blobs(lab.broker);
      const huge = 'é'.repeat(1_000_000);
      for (const prompt of ['--dangerously-skip-permissions', '🙂 \u0000 \ud800 end', '"\\\n', huge]) {
        const { session_id: session } = await lab.spawn({ prompt });
        const stored = await lastBySubject(lab.broker, STREAM.commands, SUBJECT.sessionRuns(session));
        assert.ok(stored);
        assert.equal((await commandOf(stored, blobs))?.prompt, prompt);
      }
    });

    it('names all that is wrong with a request at once', async () => {
      const answer = await lab.post({ promt: 'x', model: 5, priority: 'urgent', spoon: true });
      assertProblem(answer, 400, 'invalid_request');
      assert.deepEqual(fields(answer), ['spoon', 'model', 'priority', 'promt', 'prompt'].toSorted());
    });

    it('refuses what it cannot do or keep', async () => {
      assert.deepEqual(fields(await lab.post({ prompt: 'x', queue: 'nowhere' })), ['queue']);
      assert.deepEqual(fields(await lab.post({ prompt: 'x'.repeat(2_000_001) })), ['prompt']);
      assert.deepEqual(fields(await lab.post({ prompt: '' })), ['prompt']);
      assert.deepEqual(fields(await lab.post({ prompt: 'x', session_id: 'a/../b' })), ['session_id']);
      assert.deepEqual(fields(await lab.post({ prompt: 'x', session_id: 'ksi.>' })), ['session_id']);
      assert.equal((await lab.post({ prompt: 'x', queue: 'slow' })).status, 202);
    });

    it('refuses what is not JSON, of another type, or too large', async () => {
      for (const body of ['{bad', '', '[1,2]', '"text"', 'null']) {
        const answer = await lab.post(body);
        assert.equal(answer.status, 400, body);
        assert.match(String(answer.body['code']), /^invalid_(json|request)$/);
      }
      assertProblem(
        await lab.request('/spawn', {
          method: 'POST',
          headers: { 'content-type': 'text/plain' },
          body: '{"prompt":"x"}',
        }),
        415,
        'unsupported_media_type',
      );
      assertProblem(await lab.post({ prompt: 'x'.repeat(4_200_000) }), 413, 'body_too_large');
    });

    it('is not polluted by a prototype', async () => {
      const answer = await lab.post('{"prompt":"x","__proto__":{"polluted":true}}');
      assert.equal(answer.status, 400);
      assert.equal(({} as Record<string, unknown>)['polluted'], undefined);
    });
  });

  describe('a token', () => {
    it('is asked for everywhere but where it says', async () => {
      const bare = async (path: string): Promise<number> => (await fetch(`${lab.url}${path}`)).status;
      for (const path of ['/health', '/livez', '/readyz', '/docs', '/openapi.json'])
        assert.equal(await bare(path), 200, path);
      for (const path of [
        '/tasks',
        '/metrics',
        '/events',
        '/nowhere',
        '/tasks/x',
        '/spawn',
        '/docs%2f..%2ftasks',
        '//docs/../tasks',
      ])
        assert.equal(await bare(path), 401, path);
    });

    it('must be the right one, in the right place', async () => {
      for (const authorization of ['Bearer wrong', `Basic ${TOKEN}`, 'Bearer', `Bearer ${TOKEN}x`, TOKEN]) {
        assertProblem(await lab.request('/tasks', { headers: { authorization } }), 401, 'unauthorized');
      }
      assert.equal((await fetch(`${lab.url}/tasks?token=${TOKEN}`)).status, 401);
    });

    it('does not open a path that walks out of an open folder', async () => {
      const { port } = new URL(lab.url);
      const status = await new Promise<number>((resolve, reject) => {
        rawRequest({ port, host: '127.0.0.1', path: '/docs/../tasks' }, (answer) => {
          answer.resume();
          resolve(answer.statusCode ?? 0);
        })
          .on('error', reject)
          .end();
      });
      assert.equal(status, 401);
    });
  });

  describe('GET /tasks', () => {
    it('filters, and pages with a cursor that new tasks do not disturb', async () => {
      const mine = [];
      for (let i = 0; i < 5; i++) mine.push((await lab.spawn({ prompt: String(i), session_id: 'paged' })).task_id);
      const seen: string[] = [];
      let cursor = '';
      do {
        const page = (await lab.request(`/tasks?session_id=paged&limit=2${cursor === '' ? '' : `&cursor=${cursor}`}`))
          .body as unknown as TaskPage;
        seen.push(...page.items.map(({ task_id: id }) => id));
        cursor = page.next_cursor ?? '';
        await lab.spawn({ prompt: 'new', session_id: 'other' });
      } while (cursor !== '');
      assert.deepEqual(seen, mine.toReversed());
      const waiting = (await lab.request('/tasks?status=waiting&session_id=paged')).body as unknown as TaskPage;
      assert.equal(waiting.items.length, 4);
      const none = (await lab.request('/tasks?queue=slow&session_id=paged')).body as unknown as TaskPage;
      assert.deepEqual(none, { items: [] });
      const several = (await lab.request('/tasks?status=waiting,queued&session_id=paged')).body as unknown as TaskPage;
      assert.deepEqual(
        several.items.map(({ task_id: id }) => id),
        mine.toReversed(),
      );
    });

    it('has no outputs but those asked for, and a page of those is bounded in bytes', async () => {
      const result = 'x'.repeat(900_000);
      const ids: string[] = [];
      for (let n = 0; n < 6; n++) {
        const task = await lab.spawn({ prompt: 'x', session_id: 'long', metadata: { kind: 'long' } });
        await lab.finish(task, 0, { result });
        ids.push(task.task_id);
        while ((await lab.task(task.task_id)).output?.['result'] !== result);
      }
      const list = async (more: string): Promise<TaskPage> =>
        (await lab.request(`/tasks?metadata=kind:long${more}`)).body as unknown as TaskPage;
      const bare = await list('');
      assert.deepEqual([bare.items.length, bare.items.filter(({ output }) => output).length], [6, 0]);
      const first = await list('&include=output');
      assert.equal(first.items.length, 4);
      const second = await list(`&include=output&cursor=${first.next_cursor}`);
      assert.deepEqual([second.items.length, second.next_cursor], [2, undefined]);
      const all = [...first.items, ...second.items];
      assert.deepEqual(
        all.map(({ task_id: id, output }) => [id, output?.['result'] === result]),
        ids.toReversed().map((id) => [id, true]),
      );
    });

    it('says what is wrong with a query', async () => {
      assert.deepEqual(fields(await lab.request('/tasks?limit=x&status=done&zz=1')), ['limit', 'status.0', 'zz']);
      assertProblem(await lab.request('/tasks?cursor=%FF%00'), 400, 'invalid_cursor');
      assertProblem(await lab.request('/tasks?cursor=bm90LW91cnM'), 400, 'invalid_cursor');
    });

    it('knows no task that there is not', async () => {
      assertProblem(await lab.request('/tasks/01a20820-6481-721d-9f79-db9f581717f0'), 404, 'not_found');
      assertProblem(await lab.request('/tasks/not-an-id'), 400, 'invalid_request');
      assertProblem(await lab.request('/nowhere'), 404, 'not_found');
    });

    it('answers a method that an address has not with those that it has', async () => {
      const cases: [string, string, string][] = [
        ['/tasks', 'PUT', 'DELETE, GET, HEAD'],
        ['/spawn', 'GET', 'POST'],
        ['/dead/retry', 'GET', 'POST'],
        ['/dead/x', 'PUT', 'DELETE, GET, HEAD'],
        ['/events', 'POST', 'GET, HEAD'],
        ['/health', 'OPTIONS', 'GET, HEAD'],
      ];
      for (const [path, method, allowed] of cases) {
        const answer = await lab.request(path, { method });
        assertProblem(answer, 405, 'method_not_allowed');
        assert.equal(answer.headers.get('allow'), allowed, `${method} ${path}`);
      }
      // Before its body is looked at, and after its token.
      assertProblem(await lab.request('/tasks', { method: 'PATCH', body: '{bad' }), 405, 'method_not_allowed');
      assert.equal((await fetch(`${lab.url}/tasks`, { method: 'PUT' })).status, 401);
      const { paths } = (await lab.request('/openapi.json')).body as { paths: Record<string, object> };
      assert.deepEqual(Object.keys(paths['/spawn'] ?? {}), ['post']);
    });
  });

  describe('GET /tasks/:id/events', () => {
    it('pages as JSON, and streams from where a client left off to the outcome', async () => {
      const task = await lab.spawn();
      await lab.finish(task, 3);
      const all = (await lab.request(`/tasks/${task.task_id}/events`)).body['items'] as {
        cursor: string;
        type: string;
      }[];
      assert.deepEqual(
        all.map(({ type }) => type),
        ['SPAWN_QUEUED', 'SPAWN_START', 'SPAWN_MESSAGE', 'SPAWN_MESSAGE', 'SPAWN_MESSAGE', 'SPAWN_COMPLETE'],
      );
      const first = (await lab.request(`/tasks/${task.task_id}/events?limit=2`)).body as {
        items: unknown[];
        next_cursor: string;
      };
      assert.deepEqual(first.items, all.slice(0, 2));
      const rest = (await lab.request(`/tasks/${task.task_id}/events?cursor=${first.next_cursor}`)).body as {
        items: unknown[];
      };
      assert.deepEqual(rest.items, all.slice(2));
      const stream = await lab.request(`/tasks/${task.task_id}/events`, {
        headers: { accept: 'text/event-stream', 'last-event-id': first.next_cursor },
      });
      const ids = [...String(stream.body['text']).matchAll(/^id: (.+)$/gm)].map(([, id]) => id);
      assert.deepEqual(
        ids,
        all.slice(2).map(({ cursor }) => cursor),
      );
    });

    it('says when a page is not all, also one whose length nobody asked for', async () => {
      const task = await lab.spawn();
      await lab.finish(task, 1_100);
      const first = (await lab.request(`/tasks/${task.task_id}/events`)).body as {
        items: unknown[];
        next_cursor?: string;
      };
      assert.equal(first.items.length, 1_000);
      const rest = (await lab.request(`/tasks/${task.task_id}/events?cursor=${first.next_cursor ?? ''}`))
        .body as typeof first;
      assert.equal(rest.items.length, 103);
      assert.equal(rest.next_cursor, undefined);
    });

    it('streams what happens as it happens', async () => {
      const task = await lab.spawn();
      const streaming = lab.request(`/tasks/${task.task_id}/events`, { headers: { accept: 'text/event-stream' } });
      await lab.finish(task, 1);
      assert.equal([...String((await streaming).body['text']).matchAll(/^event: (.+)$/gm)].length, 4);
    });

    it('says what is wrong with a cursor', async () => {
      const { task_id: id } = await lab.spawn();
      assertProblem(await lab.request(`/tasks/${id}/events?cursor=nonsense!`), 400, 'invalid_cursor');
      assertProblem(await lab.request(`/tasks/${id}/events?cursor=999999999`), 400, 'cursor_gone');
      assertProblem(await lab.request(`/tasks/${id}/events?cursor=other-1`), 400, 'cursor_gone');
    });
  });

  it('documents itself, and counts', async () => {
    const { body } = await lab.request('/openapi.json');
    assert.match(String(body['openapi']), /^3\.1/);
    const paths = Object.keys(body['paths'] as object);
    for (const path of ['/spawn', '/tasks', '/tasks/{id}', '/tasks/{id}/events', '/events', '/health', '/metrics'])
      assert.ok(paths.includes(path), path);
    const metrics = String((await lab.request('/metrics')).body['text']);
    for (const name of [
      'ksi_spawn_requests_total{result="accepted"}',
      'ksi_spawn_duration_seconds',
      'ksi_active_connections',
      'ksi_queue_length',
    ])
      assert.ok(metrics.includes(name), name);
    const health = (await lab.request('/health')).body;
    assert.equal(health['status'], 'healthy');
  });
});
