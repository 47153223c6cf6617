import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { ControlAnswer, ControlVerb } from '../../contracts/tasks/control.js';
import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { TASK_STATES } from '../../contracts/tasks/states.js';
import { eventPublication, newEvent } from '../../src/broker/events.js';
import { isBrokerError } from '../../src/broker/errors.js';
import { lastBySubject } from '../../src/broker/read.js';
import { findContainment } from '../../workers/claude/containment.js';
import { workerMarker } from '../../workers/claude/contained-launcher.js';
import { processesTagged } from '../../src/process/tagged-processes.js';
import { dataOf, WorkerLab } from '../fixtures/worker.js';
import { systemClock } from '../../src/clock.js';

const PROCESS = 'worker-1';
const isOutcome = (type: string): boolean => /^SPAWN_(COMPLETE|ERROR|CANCELLED|EXPIRED)$/.test(type);

describe('control of a running task', () => {
  let lab: WorkerLab;
  before(async () => {
    lab = await WorkerLab.start({ KSI_LEASE_S: '4' });
    await lab.worker({ config: { KSI_PROCESS: PROCESS }, containment: await findContainment() });
  });
  after(() => lab.stop());

  const ask = async (taskId: string, verb: ControlVerb | 'nonsense', body: object = {}): Promise<ControlAnswer> => {
    const answer = await lab.broker.nc.request(SUBJECT.control(PROCESS, taskId, verb), JSON.stringify(body), {
      timeout: 5_000,
    });
    return answer.json<ControlAnswer>();
  };
  const outcomes = (taskId: string): string[] =>
    lab
      .of(taskId)
      .map(({ type }) => type)
      .filter(isOutcome);
  /** Starts one that says something and then hangs. */
  const hanging = async (prompt = '[[messages:1]] [[hang]]', sessionId?: string) => {
    const posted = await lab.post(prompt, sessionId === undefined ? {} : { sessionId });
    await lab.event('SPAWN_MESSAGE', posted.taskId, ({ message }) => JSON.stringify(message).includes('message 1'));
    return posted;
  };

  it('cancels it within a second, however it clings to life, and its session goes on once it is gone', async () => {
    const { taskId, sessionId } = await hanging('[[ignore-sigterm]] [[fork:60000]] [[messages:1]] [[hang]]');
    const behind = await lab.post('behind', { sessionId });
    const requestedAt = performance.now();
    assert.deepEqual(await ask(taskId, 'cancel', { by: 'ada' }), { ok: true });
    const { reason, by } = dataOf('SPAWN_CANCELLED', await lab.outcome(taskId));
    assert.ok(performance.now() - requestedAt < 1_000);
    assert.deepEqual([reason, by], ['requested', 'ada']);
    const { data } = await lab.event('SPAWN_START', taskId);
    const start = await lab.event('SPAWN_START', behind.taskId);
    assert.ok(start.data.attempt === 1);
    await lab.outcome(behind.taskId);
    await lab.until(() => (lab.ends.length >= 2 ? true : undefined));
    assert.deepEqual(processesTagged(workerMarker(data.worker_id)), []);
    assert.deepEqual(outcomes(taskId), ['SPAWN_CANCELLED']);
    assert.equal(await lastBySubject(lab.broker, STREAM.commands, SUBJECT.session(sessionId)), undefined);
  });

  it('answers each of many who cancel at once, and cancels once', async () => {
    const { taskId } = await hanging();
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask(taskId, 'cancel')));
    assert.deepEqual([...new Set(answers.map(({ ok }) => ok))], [true]);
    await lab.outcome(taskId);
    assert.deepEqual(outcomes(taskId), ['SPAWN_CANCELLED']);
  });

  it('has one outcome whenever the cancellation comes, and answers ok only if it is that', async () => {
    const tasks = await Promise.all(Array.from({ length: 30 }, (_, n) => lab.post(`x [[sleep:${n * 4}]]`)));
    await Promise.all(
      tasks.map(async ({ taskId }, n) => {
        await lab.event('SPAWN_START', taskId);
        if (n % 2 === 0) await lab.event('SPAWN_MESSAGE', taskId);
        // The run may be over, and nobody be there to answer.
        const answer = await ask(taskId, 'cancel').catch(() => ({ ok: false }));
        const outcome = await lab.outcome(taskId);
        assert.equal(outcome.type === 'SPAWN_CANCELLED', answer.ok);
      }),
    );
    for (const { taskId } of tasks) assert.equal(outcomes(taskId).length, 1);
  });

  it('stores nothing of the attempt after its cancellation', async () => {
    const { taskId } = await lab.post('[[messages:2000]] [[hang]]');
    await lab.event('SPAWN_MESSAGE', taskId);
    await ask(taskId, 'cancel');
    await lab.outcome(taskId);
    const next = await lab.post('x');
    await lab.outcome(next.taskId);
    assert.equal(lab.of(taskId).at(-1)?.type, 'SPAWN_CANCELLED');
  });

  it('interrupts its turn, which is not tried again', async () => {
    const { taskId } = await hanging();
    assert.deepEqual(await ask(taskId, 'interrupt'), { ok: true });
    const { error, output, attempt } = dataOf('SPAWN_ERROR', await lab.outcome(taskId));
    assert.deepEqual([error.code, output?.['subtype'], attempt], ['claude_interrupted', 'error_during_execution', 1]);
  });

  it('refuses what it does not know', async () => {
    const { taskId } = await hanging();
    assert.deepEqual(await ask(taskId, 'nonsense'), { ok: false, error: 'invalid_request' });
    assert.deepEqual(await ask(taskId, 'cancel', { why: 1 }), { ok: false, error: 'invalid_request' });
    await ask(taskId, 'cancel');
    await lab.outcome(taskId);
  });
});

describe('a task that an API cancelled while no worker ran it', () => {
  let lab: WorkerLab;
  before(async () => {
    lab = await WorkerLab.start({ KSI_CONCURRENCY: '1' });
  });
  after(() => lab.stop());

  const cancel = async (taskId: string, sessionId: string): Promise<void> => {
    for (;;) {
      const last = await lastBySubject(lab.broker, STREAM.events, SUBJECT.taskStates(taskId));
      const event = newEvent(systemClock, 'SPAWN_CANCELLED', {
        task_id: taskId,
        session_id: sessionId,
        owner: 'local',
        reason: 'requested',
      });
      const expect = { filter: SUBJECT.taskStates(taskId), seq: last?.seq ?? 0 };
      const subject = SUBJECT.taskState(taskId, TASK_STATES.cancelled.token);
      try {
        await lab.broker.publisher.publish(eventPublication(event, subject, expect));
        return;
      } catch (error) {
        if (!isBrokerError(error, 'conflict')) throw error;
      }
    }
  };

  it('never starts (again), and its session goes on', async () => {
    const queued = await lab.post('x');
    const waiting = await lab.post('x', { sessionId: queued.sessionId });
    const behind = await lab.post('x', { sessionId: queued.sessionId });
    await cancel(queued.taskId, queued.sessionId);
    await cancel(waiting.taskId, queued.sessionId);
    await lab.worker();
    assert.equal((await lab.outcome(behind.taskId)).type, 'SPAWN_COMPLETE');
    const retrying = await lab.post('x [[die:3]]', { command: { policy: { backoff: { base_s: 1, factor: 1 } } } });
    const after = await lab.post('x', { sessionId: retrying.sessionId });
    await lab.event('SPAWN_RETRY', retrying.taskId);
    await cancel(retrying.taskId, retrying.sessionId);
    assert.equal((await lab.outcome(after.taskId)).type, 'SPAWN_COMPLETE');
    for (const { taskId } of [queued, waiting]) assert.ok(lab.of(taskId).every(({ type }) => type !== 'SPAWN_START'));
    assert.equal(lab.of(retrying.taskId).filter(({ type }) => type === 'SPAWN_START').length, 1);
  });
});
