import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { v4 as uuidv4 } from 'uuid';
import { STREAM, SUBJECT } from '../../contracts/names.js';
import { TASK_STATES } from '../../contracts/states.js';
import type { EventData, EventType, StoredEvent } from '../../contracts/events.js';
import { eventPublication, newEvent } from '../../src/broker/events.js';
import { nextBySubject } from '../../src/broker/read.js';
import { CLAUDE_STANDIN } from '../fixtures/paths.js';
import { dataOf, WorkerLab } from '../fixtures/worker.js';

const MAIN = join(dirname(fileURLToPath(import.meta.url)), '../../workers/main.js');
const LEASE_S = 2;

let lab: WorkerLab;
beforeEach(async () => {
  lab = await WorkerLab.start({ KSI_LEASE_S: String(LEASE_S) });
});
afterEach(() => lab.stop());

/** A worker as the process that it is in life. */
function workerProcess(env: Record<string, string> = {}): ChildProcess {
  const child = spawn(process.execPath, [MAIN], {
    stdio: ['pipe', 'ignore', process.env['KSI_TEST_LOG'] === undefined ? 'ignore' : 'inherit'],
    env: {
      ...process.env,
      KSI_DIR: lab.dir,
      KSI_NATS_URL: lab.server.url,
      KSI_CLAUDE_BIN: CLAUDE_STANDIN,
      KSI_LEASE_S: String(LEASE_S),
      ...env,
    },
  });
  const gone = once(child, 'exit');
  lab.onStop(async () => {
    child.kill('SIGCONT');
    child.kill('SIGKILL');
    await gone;
  });
  return child;
}

const attemptOf = ({ data }: StoredEvent): number | undefined => (data as { attempt?: number }).attempt;
const types = (taskId: string): string[] =>
  lab
    .of(taskId)
    .map(({ type }) => type)
    .filter((type) => type !== 'SPAWN_MESSAGE');

/** The events of each attempt are numbered without a gap or a repeat, and no attempt writes after the next has begun. */
function assertGapless(taskId: string): void {
  const counts = new Map<number, number>();
  let latest = 0;
  for (const event of lab.of(taskId)) {
    const { attempt, n } = event.data as { attempt?: number; n?: number };
    if (attempt === undefined || n === undefined) continue;
    assert.ok(attempt >= latest, `${event.type} of attempt ${attempt} after one of ${latest}`);
    latest = attempt;
    assert.equal(n, (counts.get(attempt) ?? 0) + 1, `${event.type} of attempt ${attempt}`);
    counts.set(attempt, n);
  }
}

describe('the lease', () => {
  it('brings the task of a worker killed with SIGKILL elsewhere, within a lease and 5 s', async () => {
    const first = workerProcess();
    const { taskId } = await lab.post('x [[messages:3]] [[sleep:4000]]');
    await lab.event('SPAWN_MESSAGE', taskId);
    const { worker } = await lab.worker();
    const killedAt = Date.now();
    first.kill('SIGKILL');
    const second = await lab.event('SPAWN_START', taskId, ({ attempt }) => attempt === 2);
    assert.ok(Date.now() - killedAt < LEASE_S * 1_000 + 5_000);
    assert.equal(dataOf('SPAWN_START', second).worker_id, worker.id);
    assert.equal((await lab.outcome(taskId)).type, 'SPAWN_COMPLETE');
    assert.deepEqual(types(taskId), ['SPAWN_QUEUED', 'SPAWN_START', 'SPAWN_RETRY', 'SPAWN_START', 'SPAWN_COMPLETE']);
    assertGapless(taskId);
  });

  it('lets a worker that was stopped past its lease publish nothing more', async () => {
    const first = workerProcess();
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
    assertGapless(taskId);
  });

  it('is given up when the broker stays away; the task then runs again', async () => {
    await lab.worker();
    const { taskId } = await lab.post('x [[sleep:6000]]');
    await lab.event('SPAWN_START', taskId);
    lab.server.pause();
    await lab.until(() => lab.ends[0]);
    assert.deepEqual(lab.ends, ['lease_lost']);
    lab.server.resume();
    const retry = await lab.event('SPAWN_RETRY', taskId);
    assert.equal(retry.data.reason, 'worker_lost');
    assert.equal(attemptOf(await lab.outcome(taskId)), 2);
  });

  it('gives up a task whose attempts were lost again and again', async () => {
    const { taskId, sessionId } = await lab.post('x');
    const identity = { task_id: taskId, session_id: sessionId, owner: 'local' };
    let seq = lab.seen.find(({ subject }) => subject.includes(taskId))?.seq ?? 0;
    const put = async <T extends EventType>(type: T, token: string, data: EventData<T>): Promise<void> => {
      const expect = { filter: SUBJECT.taskStates(taskId), seq };
      const event = eventPublication(newEvent(type, data), SUBJECT.taskState(taskId, token), expect);
      ({ seq } = await lab.broker.publisher.publish(event));
    };
    const run = { seq: 1, delivery: 1 };
    for (let attempt = 1; attempt <= 5; attempt++) {
      const start = { ...identity, attempt, n: 1, worker_id: 'w_dead', host: 'h', transcript_seq: 0, run };
      await put('SPAWN_START', TASK_STATES.running.token, start);
      const reason = 'worker_lost' as const;
      await put('SPAWN_RETRY', TASK_STATES.retrying.token, { ...identity, attempt, reason, worker_id: 'w_x' });
    }
    await lab.worker();
    const { error, n, attempt } = dataOf('SPAWN_ERROR', await lab.outcome(taskId));
    assert.deepEqual([error.code, attempt, n], ['worker_lost', 5, 2]);
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
      const stored = await storedEvents(patient, taskId);
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

async function storedEvents(lab: WorkerLab, taskId: string): Promise<StoredEvent[]> {
  const events: StoredEvent[] = [];
  for (let seq = 1; ;) {
    const stored = await nextBySubject(lab.broker, STREAM.events, SUBJECT.taskAll(taskId), seq);
    if (stored === undefined) return events;
    events.push(JSON.parse(new TextDecoder().decode(stored.data)) as StoredEvent);
    seq = stored.seq + 1;
  }
}

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
    assertGapless(taskId);
  });

  it('happens by itself after KSI_WORKER_MAX_TASKS, and takes nothing that it does not finish', async () => {
    const child = workerProcess({ KSI_WORKER_MAX_TASKS: '3', KSI_CONCURRENCY: '2' });
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
    const child = workerProcess();
    const { taskId } = await lab.post('x [[ignore-sigterm]] [[hang]]', { sessionId: uuidv4() });
    await lab.event('SPAWN_MESSAGE', taskId);
    child.kill('SIGTERM');
    await lab.until(() => lab.seen.find(({ event }) => event.type === 'WORKER_DRAINING'));
    child.kill('SIGTERM');
    assert.deepEqual(await once(child, 'exit'), [0, null]);
    assert.equal((await lab.event('SPAWN_RETRY', taskId)).data.reason, 'worker_drained');
  });
});
