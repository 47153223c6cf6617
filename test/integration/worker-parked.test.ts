import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { lastBySubject, subjectsOf } from '../../src/broker/read.js';
import { startApiOn, type ApiOn } from '../fixtures/api-on.js';
import { dataOf, WorkerLab } from '../fixtures/worker.js';

const QUICK = { base_s: 0.05, factor: 1 };

describe('an attempt that waits long for the next', () => {
  let lab: WorkerLab;
  let api: ApiOn;
  before(async () => {
    lab = await WorkerLab.start({ KSI_LEASE_S: '4', KSI_CONCURRENCY: '1', KSI_USAGE_LIMIT: 'task' });
    api = await startApiOn(lab.server.url, { KSI_LEASE_S: '4' });
    await lab.worker({ longestNakMs: 500 });
  });
  after(async () => {
    await api.stop();
    await lab.stop();
  });

  const post = (prompt: string, sessionId?: string) =>
    lab.post(prompt, {
      ...(sessionId === undefined ? {} : { sessionId }),
      command: { policy: { max_attempts: 2, backoff: QUICK } },
    });
  const isParked = async (sessionId: string): Promise<boolean> =>
    (await lastBySubject(lab.broker, STREAM.commands, SUBJECT.sessionParked(sessionId))) !== undefined;
  /** Resolves when a run is parked. The worker says so nowhere, so this asks. */
  const parked = async (sessionId: string): Promise<void> => {
    while (!(await isParked(sessionId))) await sleep(20);
  };
  const starts = (taskId: string): number[] =>
    lab
      .of(taskId)
      .filter(({ type }) => type === 'SPAWN_START')
      .map(({ timestamp }) => Date.parse(timestamp));

  it('is not delivered meanwhile, keeps its session to itself, and runs again when its time has come', async () => {
    const { taskId, sessionId } = await post('x [[limited:3]] [[error:429]]');
    const { data } = await lab.event('SPAWN_RETRY', taskId);
    const ends = lab.ends.length;
    const behind = await post('behind', sessionId);
    await parked(sessionId);
    const outcome = await lab.outcome(taskId);
    // The second attempt, and the one behind it; nobody looked into the parked run before.
    assert.ok(lab.ends.slice(ends).every((end) => end !== 'given_back'));
    assert.equal(dataOf('SPAWN_ERROR', outcome).attempt, 2);
    assert.ok((starts(taskId)[1] ?? 0) >= Date.parse(data.retry_at ?? ''));
    await lab.outcome(behind.taskId);
    assert.ok((starts(behind.taskId)[0] ?? 0) >= Date.parse(outcome.timestamp));
  });

  it('is cancelled at once, and its session goes on', async () => {
    const { taskId, sessionId } = await post('x [[limited:3600]] [[error:429]]');
    await parked(sessionId);
    const behind = await post('behind', sessionId);
    assert.equal((await api.call('POST', `/tasks/${taskId}/cancel`)).status, 200);
    await lab.outcome(behind.taskId);
    assert.deepEqual(
      lab
        .of(taskId)
        .map(({ type }) => type)
        .filter((type) => type !== 'SPAWN_MESSAGE'),
      ['SPAWN_QUEUED', 'SPAWN_START', 'SPAWN_RETRY', 'SPAWN_CANCELLED'],
    );
    assert.deepEqual(await subjectsOf(lab.broker, STREAM.schedules, '>'), []);
  });

  it('survives a kill of the broker', async () => {
    const { taskId, sessionId } = await post('x [[limited:4]] [[error:429]]');
    await parked(sessionId);
    await lab.server.kill();
    await lab.server.restart();
    const { attempt } = dataOf('SPAWN_ERROR', await lab.outcome(taskId));
    assert.equal(attempt, 2);
    assert.equal(starts(taskId).length, 2);
  });

  it('is counted in its queue', async () => {
    const { taskId, sessionId } = await post('x [[limited:3600]] [[error:429]]');
    await parked(sessionId);
    const info = await lab.broker.jsm.consumers.info(STREAM.commands, 'parked-default');
    assert.equal(info.num_pending, 1);
    assert.equal((await api.call('POST', `/tasks/${taskId}/cancel`)).status, 200);
  });
});
