import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { v4 as uuidv4, v7 as uuidv7 } from 'uuid';
import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { TASK_STATES } from '../../contracts/tasks/states.js';
import { LOCAL } from '../../src/access/principal.js';
import { Canceller } from '../../src/tasks/steer/cancel.js';
import { EventHub } from '../../src/events/hub.js';
import { TaskReader } from '../../src/tasks/reader.js';
import { SessionNames } from '../../src/sessions/names.js';
import { Blobs } from '../../src/broker/blobs.js';
import { isBrokerError } from '../../src/broker/errors.js';
import { eventPublication, newEvent } from '../../src/broker/events.js';
import { lastBySubject } from '../../src/broker/read.js';
import { sweepSessions } from '../../src/broker/session-queue.js';
import { startApiOn, type ApiBody, type ApiOn } from '../fixtures/api-on.js';
import { silent } from '../fixtures/connection.js';
import { faultyBroker } from '../fixtures/faulty-broker.js';
import { dataOf, WorkerLab } from '../fixtures/worker.js';
import { systemClock } from '../../src/clock.js';

const isOutcome = (type: string): boolean => /^SPAWN_(COMPLETE|ERROR|CANCELLED|EXPIRED)$/.test(type);

/** A broker, two APIs, and no worker yet. */
class Lab {
  readonly workers: WorkerLab;
  readonly apis: readonly ApiOn[];
  private constructor(workers: WorkerLab, apis: readonly ApiOn[]) {
    this.workers = workers;
    this.apis = apis;
  }
  static async start(): Promise<Lab> {
    const workers = await WorkerLab.start({ KSI_LEASE_S: '4' });
    const apis = await Promise.all([
      startApiOn(workers.server.url, { KSI_LEASE_S: '4' }),
      startApiOn(workers.server.url, { KSI_LEASE_S: '4' }),
    ]);
    return new Lab(workers, apis);
  }
  async stop(): Promise<void> {
    await Promise.all(this.apis.map((api) => api.stop()));
    await this.workers.stop();
  }
  /** Must take less than a second. */
  async ask(verb: 'cancel' | 'interrupt', taskId: string, api = 0): Promise<{ status: number; body: ApiBody }> {
    const asked = performance.now();
    const answer = await this.call(verb, taskId, api);
    const took = performance.now() - asked;
    assert.ok(took < 1_000, `it took ${took} ms`);
    return answer;
  }
  call(verb: 'cancel' | 'interrupt', taskId: string, api: number): Promise<{ status: number; body: ApiBody }> {
    const asked = this.apis[api];
    assert.ok(asked !== undefined);
    return asked.call('POST', `/tasks/${taskId}/${verb}`);
  }
  outcomes(taskId: string): string[] {
    return this.workers
      .of(taskId)
      .map(({ type }) => type)
      .filter(isOutcome);
  }
  inQueue(sessionId: string): Promise<unknown> {
    return lastBySubject(this.workers.broker, STREAM.commands, SUBJECT.session(sessionId));
  }
}

describe('cancelling a task that does not run', () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start();
  });
  after(() => lab.stop());

  it('cancels a queued task, removes it from the queue, and answers the same at another API', async () => {
    const { taskId, sessionId } = await lab.workers.post('x');
    const { status, body } = await lab.ask('cancel', taskId);
    assert.equal(status, 200);
    assert.deepEqual([body.status, body['reason']], ['cancelled', 'requested']);
    const { reason, by } = dataOf('SPAWN_CANCELLED', await lab.workers.outcome(taskId));
    assert.deepEqual([reason, by], ['requested', 'local']);
    assert.equal(await lab.inQueue(sessionId), undefined);
    const again = await lab.ask('cancel', taskId, 1);
    assert.deepEqual([again.status, again.body.status], [200, 'cancelled']);
    assert.deepEqual(lab.outcomes(taskId), ['SPAWN_CANCELLED']);
  });

  it('cancels a task that has no event yet', async () => {
    const posted = await lab.apis[0]?.call('POST', '/spawn', { prompt: 'x' });
    const id = posted?.body.task_id ?? '';
    assert.equal((await lab.ask('cancel', id, 1)).status, 200);
    assert.deepEqual(lab.outcomes(id), ['SPAWN_CANCELLED']);
  });

  it('removes a waiting task from its session, and starts the next in line when a run is cancelled', async () => {
    const sessionId = uuidv4();
    const [first, second, third, fourth] = [
      await lab.workers.post('1', { sessionId }),
      await lab.workers.post('2', { sessionId }),
      await lab.workers.post('3', { sessionId }),
      await lab.workers.post('4', { sessionId }),
    ];
    const runs = async (): Promise<string | undefined> =>
      (await lastBySubject(lab.workers.broker, STREAM.commands, SUBJECT.sessionRuns(sessionId)))?.header('Ksi-Task-Id');
    await lab.ask('cancel', second.taskId);
    assert.equal(await runs(), first.taskId);
    await lab.ask('cancel', first.taskId, 1);
    assert.equal(await runs(), third.taskId);
    await lab.ask('cancel', third.taskId);
    assert.equal(await runs(), fourth.taskId);
    await lab.ask('cancel', fourth.taskId);
    assert.equal(await lab.inQueue(sessionId), undefined);
  });

  it('allows a retry even if its API crashed before the task reached the queue', async () => {
    const first = await lab.workers.post('1');
    const { taskId, sessionId } = await lab.workers.post('2', { sessionId: first.sessionId });
    const filter = SUBJECT.taskStates(taskId);
    const last = await lastBySubject(lab.workers.broker, STREAM.events, filter);
    const data = { task_id: taskId, session_id: sessionId, owner: 'local', reason: 'requested' as const };
    await lab.workers.broker.publisher.publish(
      eventPublication(
        newEvent(systemClock, 'SPAWN_CANCELLED', data),
        SUBJECT.taskState(taskId, TASK_STATES.cancelled.token),
        {
          filter,
          seq: last?.seq ?? 0,
        },
      ),
    );
    await lab.ask('cancel', first.taskId);
    assert.equal(await lab.inQueue(sessionId), undefined);
    const again = await lab.apis[0]?.call('POST', `/tasks/${taskId}/retry`);
    assert.equal(again?.status, 202, JSON.stringify(again?.body));
    await lab.ask('cancel', again.body.task_id ?? '');
  });

  it('cancels once, however many requests arrive at once', async () => {
    const { taskId } = await lab.workers.post('x');
    const answers = await Promise.all(Array.from({ length: 30 }, (_, n) => lab.call('cancel', taskId, n % 2)));
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
    assert.deepEqual(lab.outcomes(taskId), ['SPAWN_CANCELLED']);
  });

  it('answers over NATS too', async () => {
    const { taskId } = await lab.workers.post('x');
    const { nc } = lab.workers.broker;
    const reply = await nc.request(SUBJECT.apiVerb('cancel'), JSON.stringify({ id: taskId }), { timeout: 2_000 });
    assert.equal(reply.json<ApiBody>().status, 'cancelled');
    const late = await nc.request(SUBJECT.apiVerb('interrupt'), JSON.stringify({ id: taskId }), { timeout: 2_000 });
    assert.equal(late.json<ApiBody>().code, 'task_ended');
  });

  it('refuses unknown tasks, and interrupts only running tasks', async () => {
    assert.equal((await lab.ask('cancel', uuidv7())).status, 404);
    assert.equal((await lab.ask('interrupt', uuidv7())).status, 404);
    const { taskId } = await lab.workers.post('x');
    const { status, body } = await lab.ask('interrupt', taskId);
    assert.deepEqual([status, body.code], [409, 'not_running']);
    await lab.ask('cancel', taskId);
  });

  it('needs no worker: a lost or stalled worker is fenced', async () => {
    const silentWorkers = [false, true];
    for (const listens of silentWorkers) {
      const { taskId, sessionId } = await lab.workers.post('x');
      const { publisher, nc } = lab.workers.broker;
      const filter = SUBJECT.taskStates(taskId);
      const data = { task_id: taskId, session_id: sessionId, owner: 'local', attempt: 1 };
      const start = newEvent(systemClock, 'SPAWN_START', {
        ...data,
        n: 1,
        worker_id: 'w_lost',
        process: 'w_lost',
        host: 'h',
        transcript_seq: 0,
        run: { seq: 1, delivery: 1 },
      });
      const last = await lastBySubject(lab.workers.broker, STREAM.events, filter);
      const { seq } = await publisher.publish(
        eventPublication(start, SUBJECT.taskState(taskId, TASK_STATES.running.token), { filter, seq: last?.seq ?? 0 }),
      );
      if (listens) nc.subscribe(SUBJECT.control('w_lost', taskId, '*'), { callback: () => undefined });
      const interrupted = await lab.ask('interrupt', taskId);
      assert.deepEqual([interrupted.status, interrupted.body.code], [503, 'worker_unreachable']);
      assert.equal((await lab.ask('cancel', taskId, 1)).body.status, 'cancelled');
      const complete = newEvent(systemClock, 'SPAWN_COMPLETE', { ...data, n: 2 });
      const late = eventPublication(complete, SUBJECT.taskState(taskId, 'complete'), { filter, seq });
      await assert.rejects(publisher.publish(late), (error) => isBrokerError(error, 'conflict'));
      assert.notEqual(await lab.inQueue(sessionId), undefined, 'its attempt may be alive until its lease ends');
    }
  });

  it('is repaired if its API crashes at any step', async () => {
    const { broker } = lab.workers;
    for (let at = 1; at <= 14; at++)
      for (const fault of ['dies_before', 'dies_after'] as const) {
        const first = await lab.workers.post('x');
        const second = await lab.workers.post('y', { sessionId: first.sessionId });
        const rows = { task: (id: string) => reader.task(id, LOCAL), ended: (id: string) => reader.task(id, LOCAL) };
        const reader = new TaskReader(
          broker,
          new Blobs(broker),
          new EventHub(broker, new Blobs(broker), silent),
          {
            get: () => undefined,
            output: () => undefined,
          } as never,
          new SessionNames(broker, silent),
        );
        const faulty = faultyBroker(broker, at, fault);
        const dying = new Canceller(faulty.broker, rows, silent).cancel(first.taskId, LOCAL);
        await Promise.race([dying, faulty.happened]);
        assert.equal((await lab.ask('cancel', first.taskId)).status, 200);
        await sweepSessions(broker, new AbortController().signal);
        assert.deepEqual(lab.outcomes(first.taskId), ['SPAWN_CANCELLED'], `${fault} ${at}`);
        const run = await lastBySubject(broker, STREAM.commands, SUBJECT.sessionRuns(first.sessionId));
        const runs = run?.header('Ksi-Task-Id');
        // Still the cancelled one: then a worker takes it off, which is tried below.
        assert.ok(runs === second.taskId || runs === first.taskId, `${fault} ${at}`);
        left.push(second.taskId);
      }
    await lab.workers.worker({ config: { KSI_CONCURRENCY: '2' } });
    for (const taskId of left) dataOf('SPAWN_COMPLETE', await lab.workers.outcome(taskId));
  });
  const left: string[] = [];
});

describe('cancelling a task that runs or is about to run', () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start();
    await lab.workers.worker({ config: { KSI_CONCURRENCY: '4' } });
  });
  after(() => lab.stop());

  it('cancels a running task, and its session continues', async () => {
    const { taskId, sessionId } = await lab.workers.post('[[messages:1]] [[hang]]');
    const behind = await lab.workers.post('x', { sessionId });
    await lab.workers.event('SPAWN_MESSAGE', taskId);
    assert.deepEqual((await lab.ask('cancel', taskId, 1)).body.status, 'cancelled');
    dataOf('SPAWN_COMPLETE', await lab.workers.outcome(behind.taskId));
    assert.deepEqual(lab.outcomes(taskId), ['SPAWN_CANCELLED']);
    const late = await lab.ask('cancel', behind.taskId);
    assert.deepEqual([late.status, late.body.code], [409, 'task_ended']);
  });

  it('interrupts a running task', async () => {
    const { taskId } = await lab.workers.post('[[messages:1]] [[hang]]');
    await lab.workers.event('SPAWN_MESSAGE', taskId, ({ message }) => JSON.stringify(message).includes('message 1'));
    assert.equal((await lab.ask('interrupt', taskId)).status, 202);
    const { error } = dataOf('SPAWN_ERROR', await lab.workers.outcome(taskId));
    assert.equal(error.code, 'claude_interrupted');
  });

  it('cancels a task in its backoff, and its session continues at once', async () => {
    const policy = { backoff: { base_s: 3600, max_s: 3600, factor: 1 } };
    const { taskId, sessionId } = await lab.workers.post('[[die:3]]', { command: { policy } });
    const behind = await lab.workers.post('x', { sessionId });
    await lab.workers.event('SPAWN_RETRY', taskId);
    assert.deepEqual((await lab.ask('cancel', taskId)).body.status, 'cancelled');
    dataOf('SPAWN_COMPLETE', await lab.workers.outcome(behind.taskId));
    assert.deepEqual(lab.outcomes(taskId), ['SPAWN_CANCELLED']);
  });

  it('leaves one outcome whenever the cancellation arrives, answers 200 only if the task was cancelled, and keeps the order of the session', async () => {
    const sessions = Array.from({ length: 12 }, () => uuidv4());
    const tasks = await Promise.all(
      Array.from({ length: 60 }, (_, n) =>
        lab.workers.post(`x [[sleep:${(n * 7) % 60}]]`, { sessionId: sessions[n % sessions.length] ?? '' }),
      ),
    );
    const answers = await Promise.all(
      tasks.map(async ({ taskId }, n) => (n % 3 === 0 ? undefined : lab.call('cancel', taskId, n % 2))),
    );
    for (const [n, { taskId }] of tasks.entries()) {
      const outcome = await lab.workers.outcome(taskId);
      const answer = answers[n];
      if (answer !== undefined)
        assert.equal(answer.status, outcome.type === 'SPAWN_CANCELLED' ? 200 : 409, JSON.stringify(answer.body));
      else assert.equal(outcome.type, 'SPAWN_COMPLETE');
      assert.equal(lab.outcomes(taskId).length, 1);
    }
  });
});
