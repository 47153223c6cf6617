import assert from 'node:assert/strict';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { v4 as uuidv4 } from 'uuid';
import { SUBJECT } from '../../contracts/wire/names.js';
import { TASK_STATES } from '../../contracts/tasks/states.js';
import type { EventData, EventType, StoredEvent } from '../../contracts/events/events.js';
import { eventPublication, newEvent } from '../../src/broker/events.js';
import { assertGapless, storedEvents } from '../fixtures/stored-events.js';
import { workerProcess } from '../fixtures/worker-process.js';
import { dataOf, WorkerLab } from '../fixtures/worker.js';
import { systemClock } from '../../src/clock.js';

const LEASE_S = 2;

let lab: WorkerLab;
beforeEach(async () => {
  lab = await WorkerLab.start({ KSI_LEASE_S: String(LEASE_S) });
});
afterEach(() => lab.stop());

const attemptOf = ({ data }: StoredEvent): number | undefined => (data as { attempt?: number }).attempt;
const types = (taskId: string): string[] =>
  lab
    .of(taskId)
    .map(({ type }) => type)
    .filter((type) => type !== 'SPAWN_MESSAGE');

describe('the lease', () => {
  it('brings the task of a worker killed with SIGKILL elsewhere, within a lease and 5 s', async () => {
    const first = workerProcess(lab, { KSI_LEASE_S: String(LEASE_S) });
    const { taskId } = await lab.post('x [[messages:3]] [[sleep:4000]]');
    await lab.event('SPAWN_MESSAGE', taskId, ({ message }) => (message as { type?: string }).type === 'assistant');
    const { worker } = await lab.worker();
    const killedAt = Date.now();
    first.kill('SIGKILL');
    const second = await lab.event('SPAWN_START', taskId, ({ attempt }) => attempt === 2);
    assert.ok(Date.now() - killedAt < LEASE_S * 1_000 + 5_000);
    assert.equal(dataOf('SPAWN_START', second).worker_id, worker.id);
    const { usage } = (await lab.event('SPAWN_RETRY', taskId)).data;
    assert.ok((usage?.input_tokens ?? 0) > 0 && usage?.estimated === true, 'what its stream had reported counts');
    assert.equal((await lab.outcome(taskId)).type, 'SPAWN_COMPLETE');
    assert.deepEqual(types(taskId), ['SPAWN_QUEUED', 'SPAWN_START', 'SPAWN_RETRY', 'SPAWN_START', 'SPAWN_COMPLETE']);
    assertGapless(lab.of(taskId));
  });

  it('lets a worker that was stopped past its lease publish nothing more', async () => {
    const first = workerProcess(lab, { KSI_LEASE_S: String(LEASE_S) });
    const { taskId } = await lab.post('x [[sleep:3000]] [[messages:20]]');
    await lab.event('SPAWN_START', taskId);
    await lab.worker();
    first.kill('SIGSTOP');
    await lab.event('SPAWN_START', taskId, ({ attempt }) => attempt === 2);
    first.kill('SIGCONT');
    assert.equal(attemptOf(await lab.outcome(taskId)), 2);
    // It ends by itself once its own attempt is gone: nothing of that is left to come.
    first.kill('SIGTERM');
    assert.deepEqual(await once(first, 'exit'), [0, null]);
    assert.equal(types(taskId).filter((type) => type === 'SPAWN_COMPLETE').length, 1);
    assertGapless(lab.of(taskId));
  });

  it('gives up a task whose attempts were lost again and again', async () => {
    const { taskId, sessionId } = await lab.post('x');
    const identity = { task_id: taskId, session_id: sessionId, owner: 'local' };
    let seq = lab.seen.find(({ subject }) => subject.includes(taskId))?.seq ?? 0;
    const put = async <T extends EventType>(type: T, token: string, data: EventData<T>): Promise<void> => {
      const expect = { filter: SUBJECT.taskStates(taskId), seq };
      const event = eventPublication(newEvent(systemClock, type, data), SUBJECT.taskState(taskId, token), expect);
      ({ seq } = await lab.broker.publisher.publish(event));
    };
    const run = { seq: 1, delivery: 1 };
    for (let attempt = 1; attempt <= 5; attempt++) {
      const start = { ...identity, attempt, n: 1, worker_id: 'w_dead', host: 'h', transcript_seq: 0, run };
      await put('SPAWN_START', TASK_STATES.running.token, start);
      const reason = 'worker_lost' as const;
      await put('SPAWN_RETRY', TASK_STATES.retrying.token, { ...identity, attempt, reason, worker_id: 'w_x' });
    }
    // An unreadable start counts as a lost attempt.
    const odd = await lab.post('y');
    const subject = SUBJECT.ingest(SUBJECT.taskState(odd.taskId, TASK_STATES.running.token));
    await lab.broker.publisher.publish({
      subject,
      payload: '{"type":"SPAWN_START","id":"x","timestamp":"","data":{}}',
    });
    await lab.worker();
    const { error, n, attempt } = dataOf('SPAWN_ERROR', await lab.outcome(taskId));
    assert.deepEqual([error.code, attempt, n], ['worker_lost', 5, 2]);
    const { attempt: second } = dataOf('SPAWN_COMPLETE', await lab.outcome(odd.taskId));
    assert.equal(second, 2);
  });
});

describe('an outage of the broker shorter than the lease', () => {
  it('is not seen by an attempt, nor by its readers: same attempt, no gap, no repeat', async () => {
    const patient = await WorkerLab.start({ KSI_LEASE_S: '10' });
    try {
      await patient.worker();
      const { taskId } = await patient.post('x [[messages:50]] [[sleep:1500]] [[messages:50]]');
      await patient.event('SPAWN_MESSAGE', taskId);
      await patient.server.kill();
      await patient.server.restart();
      // A delivery that the broker forgot comes again, and is told from a takeover.
      const end = await patient.until(() => patient.ends.find((end) => end !== 'lost'));
      assert.equal(end, 'completed');
      const stored = await storedEvents(patient.broker, taskId);
      const counted = stored.slice(1).map(({ data }) => data as { attempt: number; n: number });
      assert.deepEqual(
        counted.map(({ attempt, n }) => [attempt, n]),
        counted.map((_, index) => [1, index + 1]),
      );
    } finally {
      await patient.stop();
    }
  });
});

describe('stopping a worker', () => {
  it('lets what runs finish', async () => {
    const { worker } = await lab.worker();
    const { taskId } = await lab.post('x [[sleep:500]]');
    await lab.event('SPAWN_START', taskId);
    await worker.stop();
    assert.deepEqual(types(taskId), ['SPAWN_QUEUED', 'SPAWN_START', 'SPAWN_COMPLETE']);
    assert.ok(lab.seen.some(({ event }) => event.type === 'WORKER_DRAINING'));
    assert.equal(lab.seen.at(-1)?.event.type, 'WORKER_OFFLINE');
  });

  it('gives back what is not finished in time, uncounted, to run elsewhere at once', async () => {
    const { worker } = await lab.worker({ config: { KSI_DRAIN_S: '0', KSI_LEASE_S: '60' } });
    const { taskId } = await lab.post('x [[sleep:800]]');
    await lab.event('SPAWN_START', taskId);
    const other = await lab.worker();
    await worker.stop();
    const retry = await lab.event('SPAWN_RETRY', taskId);
    assert.equal(retry.data.reason, 'worker_drained');
    assert.equal((await lab.outcome(taskId)).type, 'SPAWN_COMPLETE');
    const again = await lab.event('SPAWN_START', taskId, ({ attempt }) => attempt === 2);
    assert.equal(again.data.worker_id, other.worker.id);
    assertGapless(lab.of(taskId));
  });

  it('happens by itself after KSI_WORKER_MAX_TASKS, and takes nothing that it does not finish', async () => {
    const child = workerProcess(lab, {
      KSI_LEASE_S: String(LEASE_S),
      KSI_WORKER_MAX_TASKS: '3',
      KSI_CONCURRENCY: '2',
    });
    const tasks = await Promise.all(Array.from({ length: 12 }, () => lab.post('x [[sleep:20]]')));
    assert.deepEqual(await once(child, 'exit'), [0, null]);
    const starts = lab.seen.filter(({ event }) => event.type === 'SPAWN_START').length;
    // With the last of them another may have been under way.
    assert.ok(starts === 3 || starts === 4, String(starts));
    await lab.worker();
    for (const { taskId } of tasks) {
      dataOf('SPAWN_COMPLETE', await lab.outcome(taskId));
      assert.deepEqual(types(taskId), ['SPAWN_QUEUED', 'SPAWN_START', 'SPAWN_COMPLETE']);
    }
  });

  it('is quick when the process hears SIGTERM twice, and leaves no child', async () => {
    const child = workerProcess(lab, { KSI_LEASE_S: String(LEASE_S) });
    const { taskId } = await lab.post('x [[ignore-sigterm]] [[hang]]', { sessionId: uuidv4() });
    await lab.event('SPAWN_MESSAGE', taskId);
    child.kill('SIGTERM');
    const { worker_id: id } = (await lab.event('SPAWN_START', taskId)).data;
    // Of this worker: signals that come together are one.
    await lab.until(() => lab.seen.find(({ subject }) => subject === SUBJECT.workerEvent(id, 'draining')));
    child.kill('SIGTERM');
    assert.deepEqual(await once(child, 'exit'), [0, null]);
    assert.equal((await lab.event('SPAWN_RETRY', taskId)).data.reason, 'worker_drained');
  });
});
