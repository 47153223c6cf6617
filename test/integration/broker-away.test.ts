import assert from 'node:assert/strict';
import { once } from 'node:events';
import { cp, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { pino } from 'pino';
import { WebSocket } from 'ws';
import type { Health } from '../../contracts/api/health.js';
import type { TaskPage } from '../../contracts/tasks/task.js';
import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { isEnded, statusOfSubject } from '../../contracts/tasks/states.js';
import { lastBySubject } from '../../src/broker/read.js';
import type { Finding } from '../../src/doctor/finding.js';
import { checkReadModels } from '../../src/doctor/read-models.js';
import { untilReady } from '../../src/cluster/readiness.js';
import { ApiLab, TOKEN, type Answer } from '../fixtures/api.js';
import { startApiOn } from '../fixtures/api-on.js';
import { startApiProcess } from '../fixtures/api-process.js';

/** Requests must be answered within 2 s; the test's own limit leaves room for a busy machine. */
const ANSWERED_MS = 5_000;

/** What an upgrade to a WebSocket is answered if it is refused. */
const statusOfUpgrade = (url: string): Promise<number | undefined> =>
  new Promise((resolve, reject) => {
    const socket = new WebSocket(url.replace('http', 'ws'), { headers: { authorization: `Bearer ${TOKEN}` } });
    socket.on('error', reject);
    socket.on('unexpected-response', (_request, answer) => {
      resolve(answer.statusCode);
      answer.resume();
      socket.terminate();
    });
  });

/** 0: nobody listens there. */
const statusOf = async (url: string): Promise<number> =>
  fetch(url).then(
    ({ status }) => status,
    () => 0,
  );

const readyAgain = async (lab: ApiLab): Promise<void> => {
  while ((await lab.request('/readyz')).status !== 200 || !lab.broker.connected()) await sleep(20);
};

describe('an API whose broker is away', () => {
  let lab: ApiLab;
  before(async () => {
    lab = await ApiLab.start();
  });
  after(() => lab.stop());

  const ready = (): Promise<void> => readyAgain(lab);
  const assertAway = async (asking: () => Promise<Answer>): Promise<void> => {
    const begun = performance.now();
    const answer = await asking();
    assert.equal(answer.status, 503, JSON.stringify(answer.body));
    assert.equal(answer.body['code'], 'broker_unavailable');
    assert.ok(Number(answer.headers.get('retry-after')) > 0);
    assert.ok(performance.now() - begun < ANSWERED_MS);
  };

  it('answers 503, not a 202 that means nothing, and recovers by itself', async () => {
    const before = await lab.spawn();
    await lab.server.kill();
    // More audit entries wait than an AbortSignal may have listeners; the test run fails if Node warns of that.
    await Promise.all(Array.from({ length: 12 }, () => assertAway(() => lab.post({ prompt: 'x' }))));
    await assertAway(() => lab.post({ prompt: 'x', session_id: 'named' }));
    assert.equal((await lab.request('/livez')).status, 200);
    await lab.server.restart();
    await ready();
    const after = await lab.spawn();
    assert.equal((await lab.task(before.task_id)).status, 'queued');
    await lab.finish(after);
    const client = lab.connect('?since=0');
    await client.until(({ type, data }) => type === 'SPAWN_COMPLETE' && data['task_id'] === after.task_id);
    client.socket.terminate();
  });

  it('answers 503 also when the broker hangs, and what it may have stored does not run unasked', async () => {
    await ready();
    const known = new Set(
      ((await lab.request('/tasks?limit=500')).body as unknown as TaskPage).items.map(({ task_id: id }) => id),
    );
    const client = lab.connect();
    await client.opened;
    lab.server.pause();
    await assertAway(() => lab.post({ prompt: 'unknown fate' }));
    lab.server.resume();
    const cancelled = await client.until(
      ({ type, data }) => type === 'SPAWN_CANCELLED' && !known.has(String(data['task_id'])),
    );
    assert.equal(cancelled.data['reason'], 'not_accepted');
    const state = await lastBySubject(lab.broker, STREAM.events, SUBJECT.taskStates(String(cancelled.data['task_id'])));
    const status = statusOfSubject(state?.subject ?? '');
    assert.ok(status !== undefined && isEnded(status));
    client.socket.terminate();
  });

  it('answers 503 from its start on, and begins to work when the broker comes', async () => {
    const { url } = lab;
    await lab.stopApi();
    await lab.server.kill();
    const started = lab.startApi();
    const ask = (path: string, token = TOKEN): Promise<Response> =>
      fetch(`${url}${path}`, { headers: { authorization: `Bearer ${token}` } });
    const untilAnswered = async (path: string): Promise<Response> => {
      for (;;) {
        try {
          return await ask(path);
        } catch {
          await sleep(20); // It doesn't listen yet.
        }
      }
    };
    const away = await untilAnswered('/tasks');
    assert.equal(away.status, 503);
    assert.equal(((await away.json()) as { code: string }).code, 'broker_unavailable');
    assert.ok(Number(away.headers.get('retry-after')) > 0);
    assert.equal((await ask('/tasks', 'wrong')).status, 401);
    // A 400 would tell its client to throw its cursor away.
    assert.equal(await statusOfUpgrade(`${url}/events?since=1`), 503);
    assert.deepEqual([(await ask('/livez')).status, (await ask('/readyz')).status], [200, 503]);
    assert.equal(((await (await ask('/health')).json()) as { status: string }).status, 'degraded');
    await lab.server.restart();
    await started;
    assert.equal((await lab.post({ prompt: 'x' })).status, 202);
  });

  it('starts in spite of a broker that goes away in the middle of its start, and is not ready before', async () => {
    const { url } = lab;
    await lab.stopApi();
    let killed: Promise<void> | undefined;
    const lost = new AbortController();
    // Its start asks the broker for more after it has read the tasks.
    const log = pino(
      { level: 'info' },
      {
        write: (line) => {
          if (line.includes('the read model is up to date')) killed ??= lab.server.kill();
          if (line.includes('broker connection lost')) lost.abort();
        },
      },
    );
    const started = lab.startApi(log);
    const answers = new Set<number>();
    while (!lost.signal.aborted) {
      answers.add(await statusOf(`${url}/readyz`));
      await sleep(10);
    }
    await killed;
    await lab.server.restart();
    await started;
    assert.ok(!answers.has(200));
    assert.equal((await lab.post({ prompt: 'x' })).status, 202);
  });
});

describe('a queue at its limit', () => {
  it('answers 429 before it is quite full, is not ready meanwhile, and loses nothing', async () => {
    const lab = await ApiLab.start({ KSI_QUEUE_MAX: '20' });
    try {
      const answers: Answer[] = [];
      for (let i = 0; i < 25; i++) answers.push(await lab.post({ prompt: String(i) }));
      const accepted = answers.filter(({ status }) => status === 202).length;
      const refused = answers.filter(({ status }) => status === 429);
      // About nine in ten: what the API counts may be a moment old, the broker's own limit is not.
      assert.ok(accepted >= 18 && accepted <= 20, `${accepted} were accepted`);
      assert.equal(refused.length, 25 - accepted);
      for (const { body, headers } of refused) {
        assert.equal(body['code'], 'queue_full');
        assert.ok(Number(headers.get('retry-after')) > 0);
      }
      assert.equal((await lab.broker.jsm.streams.info(STREAM.commands)).state.messages, accepted);
      const { status, body } = await lab.request('/readyz');
      assert.deepEqual([status, body['full']], [503, true]);
      assert.match(String(body['reason']), /Every queue is full: 18 tasks/);
      const started = await untilReady(`${lab.url}/readyz`, AbortSignal.timeout(60_000));
      assert.ok(started.ready && started.full, '`ksi up` starts a cluster whose queues are full');
      for (const answer of answers.filter((each) => each.status === 202))
        await lab.request(`/tasks/${String(answer.body['task_id'])}/cancel`, { method: 'POST' });
      while ((await lab.request('/readyz')).status !== 200) await sleep(50);
    } finally {
      await lab.stop();
    }
  });
});

const healthOf = async (url: string): Promise<Health> => (await (await fetch(`${url}/health`)).json()) as Health;

const findings = async (checks: AsyncGenerator<Finding>): Promise<Finding[]> => {
  const found: Finding[] = [];
  for await (const finding of checks) found.push(finding);
  return found;
};

describe('the read model', () => {
  let lab: ApiLab;
  before(async () => {
    lab = await ApiLab.start();
  });
  after(() => lab.stop());

  const setAside = async (): Promise<string[]> =>
    (await readdir(lab.readModel)).filter((file) => file.includes('.damaged-'));
  const tasks = async (): Promise<unknown> => (await lab.request('/tasks?limit=500')).body;

  it('is the same again after its file was deleted, or broken', async () => {
    const done = await lab.spawn({ prompt: 'done' });
    await lab.finish(done, 1);
    await lab.spawn({ prompt: 'first', session_id: 's' });
    await lab.spawn({ prompt: 'second', session_id: 's' });
    const client = lab.connect('?since=0');
    await client.until(({ type, data }) => type === 'SPAWN_WAITING' && data['queue'] === 'default');
    client.socket.terminate();
    const before = await tasks();
    await lab.stopApi();
    await lab.startApi();
    assert.deepEqual(await tasks(), before);
    assert.deepEqual(await setAside(), [], 'its own file is taken up, not rebuilt');
    await lab.stopApi();
    await rm(lab.readModel, { recursive: true });
    await lab.startApi();
    assert.deepEqual(await tasks(), before);
    await lab.stopApi();
    await writeFile(join(lab.readModel, 'read-model.mdb'), 'garbage'.repeat(10_000));
    await lab.startApi();
    assert.deepEqual(await tasks(), before);
    assert.equal((await setAside()).length, 1, 'the broken file is set aside');
  });

  it('is rebuilt when the broker was restored from a backup, and has grown past it since', async () => {
    const backup = await mkdtemp(join(tmpdir(), 'ksi-backup-'));
    const { store } = lab.server;
    const apiProcess = await startApiProcess(lab.server.url);
    const restarted = async (change: () => Promise<void>): Promise<void> => {
      await lab.server.kill();
      await change();
      await lab.server.restart();
    };
    try {
      await restarted(() => cp(store, backup, { recursive: true }));
      await readyAgain(lab);
      const lost = [await lab.spawn(), await lab.spawn()];
      const { last_seq: outgrown } = (await lab.broker.jsm.streams.info(STREAM.events)).state;
      while ((await healthOf(apiProcess.url)).read_model.position < outgrown) await sleep(20);
      apiProcess.pause();
      await lab.stopApi();
      await restarted(async () => {
        await rm(store, { recursive: true });
        await cp(backup, store, { recursive: true });
      });
      const other = await startApiOn(lab.server.url);
      for (let n = 0; n < 2 * lost.length; n++) await other.call('POST', '/spawn', { prompt: 'after the restore' });
      const { body: truth } = await other.call('GET', '/tasks?limit=500');
      await other.stop();
      await lab.startApi();
      assert.deepEqual(await tasks(), truth);
      apiProcess.resume();
      const listed = async (): Promise<unknown> =>
        (await fetch(`${apiProcess.url}/tasks?limit=500`, { headers: { authorization: `Bearer ${TOKEN}` } })).json();
      while (!isDeepStrictEqual(await listed(), truth)) await sleep(20);
      for (const { title, status } of await findings(checkReadModels(lab.broker, [{ name: 'api', url: lab.url }])))
        assert.deepEqual([title, status], ['read model of api', 'ok']);
    } finally {
      await apiProcess.stop();
      await rm(backup, { recursive: true });
    }
  });

  it('is told by ksi doctor to be of another history', async () => {
    await lab.spawn();
    const health = await healthOf(lab.url);
    const wrong = { ...health, read_model: { ...health.read_model, event_id: 'of another history' } };
    const server = createServer((_request, answer) => void answer.end(JSON.stringify(wrong)));
    await once(server.listen(0, '127.0.0.1'), 'listening');
    try {
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      const [found] = await findings(checkReadModels(lab.broker, [{ name: 'api-1', url }]));
      assert.equal(found?.status, 'failed');
      assert.match(found.found, /restored from a backup/);
    } finally {
      server.close();
    }
  });

  it('shows a task whose SPAWN_QUEUED was lost with its API', async () => {
    const { task_id: id } = await lab.spawn({ prompt: 'unheard of' });
    await lab.broker.jsm.streams.purge(STREAM.events, { filter: SUBJECT.taskAll(id) });
    await lab.stopApi();
    await rm(lab.readModel, { recursive: true });
    await lab.startApi();
    assert.equal((await lab.task(id)).prompt_preview, 'unheard of');
  });

  it('is of the stream that there is', async () => {
    await lab.stopApi();
    await lab.broker.jsm.streams.delete(STREAM.events);
    await lab.broker.jsm.streams.purge(STREAM.commands);
    await lab.startApi();
    assert.deepEqual(await tasks(), { items: [] });
    const fresh = await lab.spawn();
    assert.equal((await lab.task(fresh.task_id)).status, 'queued');
  });
});
