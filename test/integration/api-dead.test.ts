import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { v7 as uuidv7 } from 'uuid';
import type { DeadLetter, DeadPage, DeadRetryAnswer } from '../../contracts/tasks/dead-letters.js';
import type { Task } from '../../contracts/tasks/task.js';
import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { SessionNames } from '../../src/sessions/names.js';
import { Acceptor } from '../../src/tasks/accept/acceptor.js';
import { IDEMPOTENCY_RECORDS } from '../../contracts/tasks/idempotency.js';
import { Records } from '../../src/broker/records.js';
import { IdempotentAcceptor } from '../../src/tasks/accept/spawn-idempotency.js';
import { DeadLetters } from '../../src/tasks/dead-letters.js';
import { LOCAL } from '../../src/access/principal.js';
import { Blobs } from '../../src/broker/blobs.js';
import type { Broker } from '../../src/broker/connect.js';
import { Workspaces } from '../../src/workspaces/roots.js';
import { lastBySubject } from '../../src/broker/read.js';
import { startApiOn, type ApiBody, type ApiOn } from '../fixtures/api-on.js';
import { silent } from '../fixtures/connection.js';
import { tasksToRun } from '../fixtures/tasks-to-run.js';
import { faultyBroker, FAULTS } from '../fixtures/faulty-broker.js';
import { dataOf, WorkerLab, type PostOptions } from '../fixtures/worker.js';

/** Two queues; the worker serves one, so that what is put back into the other stays there. */
const ENV = { KSI_LEASE_S: '4', KSI_QUEUES: 'default,still' };

describe('dead letters and retries', () => {
  let lab: WorkerLab;
  let api: ApiOn;
  before(async () => {
    lab = await WorkerLab.start(ENV);
    api = await startApiOn(lab.server.url, ENV);
    await lab.worker({ config: { KSI_QUEUES: 'default' } });
  });
  after(async () => {
    await api.stop();
    await lab.stop();
  });

  const give = async (
    letter: Partial<DeadLetter> & { prompt?: string } = {},
  ): Promise<{ taskId: string; sessionId: string }> => {
    const { prompt = 'x', ...fields } = letter;
    const [taskId, sessionId] = [uuidv7(), uuidv7()];
    const identity = { v: 1, task_id: taskId, session_id: sessionId, owner: 'local', queue: 'still' };
    const command = { ...identity, priority: 'high', accepted_at: new Date().toISOString(), prompt, model: 'm' };
    const error = { code: 'claude_crashed', message: 'm', retryable: true };
    const given_up = 'attempts_exhausted' as const;
    const body = { ...identity, given_up, timestamp: command.accepted_at, error, command, history: [], ...fields };
    const subject = SUBJECT.dead(body.queue, taskId);
    await lab.broker.publisher.publish({ subject, payload: JSON.stringify(body) });
    return { taskId, sessionId };
  };
  const page = async (query: string): Promise<DeadPage> =>
    (await api.call('GET', `/dead${query}`)).body as unknown as DeadPage;
  const task = async (id: string): Promise<Task> => (await api.call('GET', `/tasks/${id}`)).body as unknown as Task;
  const run = (sessionId: string) => lastBySubject(lab.broker, STREAM.commands, SUBJECT.sessionRuns(sessionId));

  it('shows, retries and deletes a task that its worker gave up', async () => {
    const posted = await lab.post('x [[die:3]]', { command: { policy: { max_attempts: 1 } } });
    await lab.outcome(posted.taskId);
    await lab.until(() => (lab.ends.length > 0 ? true : undefined));
    const listed = (await page('')).items.find(({ task_id }) => task_id === posted.taskId);
    assert.equal(listed?.error.code, 'claude_crashed');
    assert.ok(!('command' in listed));
    const { body: whole } = await api.call('GET', `/dead/${posted.taskId}`);
    assert.deepEqual(
      (whole as unknown as DeadLetter).history.map(({ type }) => type),
      ['SPAWN_QUEUED', 'SPAWN_START', 'SPAWN_ERROR'],
    );
    const { status, body } = await api.call('POST', `/tasks/${posted.taskId}/retry`);
    assert.equal(status, 202);
    assert.equal(body['session_id'], posted.sessionId);
    const again = await task(body.task_id ?? '');
    assert.equal(again.retry_of, posted.taskId);
    assert.equal((await api.call('GET', `/dead/${posted.taskId}`)).status, 404);
    await lab.outcome(again.task_id);
  });

  it('are listed in pages, by queue and owner', async () => {
    const ids = [];
    for (let n = 0; n < 5; n++) ids.push((await give()).taskId);
    const other = await give({ owner: 'somebody', queue: 'gone' });
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const { items: letters, next_cursor } = await page(
        `?queue=still&limit=2${cursor === undefined ? '' : `&cursor=${cursor}`}`,
      );
      seen.push(...letters.map(({ task_id }) => task_id));
      cursor = next_cursor;
    } while (cursor !== undefined);
    assert.deepEqual(seen, ids);
    assert.deepEqual(
      (await page('?owner=somebody')).items.map(({ task_id }) => task_id),
      [other.taskId],
    );
    const wrong = await api.call('GET', '/dead?cursor=x');
    assert.deepEqual([wrong.status, wrong.body.code], [400, 'invalid_cursor']);
    for (const id of [...ids, other.taskId]) assert.equal((await api.call('DELETE', `/dead/${id}`)).status, 204);
    assert.equal((await api.call('DELETE', `/dead/${other.taskId}`)).status, 404);
    assert.deepEqual((await page('?queue=still')).items, []);
  });

  it('retries all matching dead letters, and reports those that it cannot retry', async () => {
    const good = [await give(), await give()];
    const bad = await give({ command: 'not a command' });
    const gone = await give({ queue: 'gone' });
    const { status, body } = await api.call('POST', '/dead/retry', { queue: 'still' });
    const { retried: put, refused } = body as unknown as DeadRetryAnswer;
    assert.equal(status, 200);
    assert.deepEqual(
      put.map(({ retry_of }) => retry_of),
      good.map(({ taskId }) => taskId),
    );
    assert.deepEqual(
      refused.map(({ task_id, code }) => [task_id, code]),
      [[bad.taskId, 'not_retryable']],
    );
    assert.equal((await run(good[0]?.sessionId ?? ''))?.header('Ksi-Task-Id'), put[0]?.task_id);
    for (const { taskId } of [bad, gone]) assert.equal((await api.call('DELETE', `/dead/${taskId}`)).status, 204);
  });

  it('reads a dead letter that is too large for a message', async () => {
    const [taskId, sessionId] = [uuidv7(), uuidv7()];
    const blobs = new Blobs(lab.broker);
    const prompt = 'y'.repeat(2_000_000);
    const base = {
      v: 1,
      task_id: taskId,
      session_id: sessionId,
      owner: 'local',
      queue: 'still',
      given_up: 'workers_lost',
    };
    const error = { code: 'worker_lost', message: 'm', retryable: true };
    const timestamp = new Date().toISOString();
    const command = { ...base, priority: 'low', accepted_at: timestamp, prompt };
    const whole = JSON.stringify({ ...base, error, timestamp, command, history: [] });
    const ref = await blobs.put(`dead/${taskId}`, Buffer.from(whole));
    const payload = JSON.stringify({ ...base, error, timestamp, ref });
    await lab.broker.publisher.publish({ subject: SUBJECT.dead('still', taskId), payload });
    const { body } = await api.call('GET', `/dead/${taskId}`);
    assert.equal((body['command'] as { prompt: string }).prompt, prompt);
    assert.equal((await api.call('POST', `/dead/${taskId}/retry`)).status, 202);
    await assert.rejects(blobs.get(ref));
  });

  const lettersOn = (broker: Broker): DeadLetters => {
    const blobs = new Blobs(broker);
    const acceptor = new Acceptor({
      disk: { full: () => undefined, suspect: () => undefined },
      broker,
      blobs,
      hub: { cursor: () => 'c' },
      model: { accept: () => undefined, openOf: () => 0, session: async () => undefined },
      capacity: { reserve: () => true },
      topology: { full: undefined },
      exchanges: { count: () => Promise.resolve() },
      budget: { left: () => Promise.resolve(undefined) },
      records: { ownerOf: () => Promise.resolve(undefined) },
      names: new SessionNames(broker, silent),
      workspaces: new Workspaces(''),
      toolPolicy: { current: {} },
      mcpServers: { current: {} },
      config: {
        KSI_QUEUES: 'still',
        KSI_MAX_PROMPT_CHARS: 1_000,
        KSI_EVENTS_MAX_AGE_S: 604_800,
        KSI_LOG_PROMPTS: 'no',
      },
      log: silent,
    });
    return new DeadLetters(
      broker,
      blobs,
      new IdempotentAcceptor(broker, acceptor, new Records(broker, IDEMPOTENCY_RECORDS, silent), silent),
      { take: () => undefined },
      silent,
    );
  };

  for (const fault of FAULTS)
    it(`is retried once, whichever step of the first attempt ${fault}`, async () => {
      for (let at = 1; at <= 10; at++) {
        const { taskId, sessionId } = await give();
        const faulty = faultyBroker(lab.broker, at, fault);
        const dying = lettersOn(faulty.broker)
          .putBack(taskId, LOCAL)
          .then(
            ({ accepted }) => accepted.task_id,
            () => undefined,
          );
        await Promise.race([dying, faulty.happened]);
        const again = await api.call('POST', `/dead/${taskId}/retry`);
        assert.ok(again.status === 202 || again.status === 404, JSON.stringify(again.body));
        const live = await tasksToRun(lab.broker, sessionId);
        assert.equal(live.length, 1);
        if (again.status === 202) assert.equal(again.body.task_id, live[0]);
        assert.equal((await api.call('GET', `/dead/${taskId}`)).status, 404);
      }
    });

  const retry = async (id: string): Promise<{ status: number; body: ApiBody }> =>
    api.call('POST', `/tasks/${id}/retry`);
  const ended = async (prompt: string, options: PostOptions = {}): Promise<{ taskId: string; sessionId: string }> => {
    const posted = await lab.post(prompt, options);
    await lab.outcome(posted.taskId);
    return posted;
  };

  it('runs any ended task again as a new task of its session, for each request', async () => {
    const done = await ended('say this', { model: 'm', command: { policy: { timeout_s: 60 } } });
    const failed = await ended('[[error:401]]');
    for (const { taskId, sessionId } of [done, failed, done]) {
      const { status, body } = await retry(taskId);
      assert.equal(status, 202, JSON.stringify(body));
      assert.notEqual(body.task_id, taskId);
      assert.equal(body['session_id'], sessionId);
      const outcome = await lab.outcome(body.task_id ?? '');
      assert.equal(outcome.type, taskId === done.taskId ? 'SPAWN_COMPLETE' : 'SPAWN_ERROR');
      const shown = await task(body.task_id ?? '');
      assert.equal(shown.retry_of, taskId);
    }
    const reply = await lab.broker.nc.request(SUBJECT.apiVerb('retry'), JSON.stringify({ id: done.taskId }));
    dataOf('SPAWN_COMPLETE', await lab.outcome(reply.json<ApiBody>().task_id ?? ''));
  });

  it('runs cancelled tasks again, from the queue and from the waiting entries', async () => {
    const run1 = await lab.post('first', { queue: 'still' });
    const waiting = await lab.post('second', { queue: 'still', sessionId: run1.sessionId });
    for (const { taskId } of [waiting, run1]) {
      const early = await retry(taskId);
      assert.deepEqual([early.status, early.body.code], [409, 'not_ended']);
      assert.equal((await api.call('POST', `/tasks/${taskId}/cancel`)).status, 200);
      const { status, body } = await retry(taskId);
      assert.equal(status, 202, JSON.stringify(body));
      assert.equal((await task(body.task_id ?? '')).prompt_preview, taskId === run1.taskId ? 'first' : 'second');
    }
  });

  it('reports that a command is deleted or that a task never existed', async () => {
    const { taskId } = await ended('x');
    await lab.until(() => (lab.ends.length > 0 ? true : undefined));
    assert.equal((await retry(taskId)).status, 202);
    await lab.broker.jsm.streams.purge(STREAM.ended, { filter: SUBJECT.ended(taskId) });
    const late = await retry(taskId);
    assert.deepEqual([late.status, late.body.code], [409, 'not_retryable']);
    assert.equal((await retry(uuidv7())).status, 404);
  });
});
