import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EventData } from '../../contracts/events/events.js';
import { workerMarker } from '../../workers/claude/contained-launcher.js';
import { processesTagged } from '../../src/process/tagged-processes.js';
import { dataOf, WorkerLab } from '../fixtures/worker.js';
import { assertGapless, storedEvents } from '../fixtures/stored-events.js';
import { workerProcess } from '../fixtures/worker-process.js';

let lab: WorkerLab;
afterEach(() => lab.stop());

const ONE_ATTEMPT = { command: { policy: { max_attempts: 1 } } };

/** Resolves when no Claude of a worker is left; nothing tells of the end of somebody else's child, so it looks. */
async function claudeGone(workerId: string): Promise<void> {
  while (processesTagged(workerMarker(workerId)).length > 0) await sleep(20);
}

const retries = (taskId: string): EventData<'SPAWN_RETRY'>[] =>
  lab
    .of(taskId)
    .filter(({ type }) => type === 'SPAWN_RETRY')
    .map(({ data }) => data as EventData<'SPAWN_RETRY'>);

describe('an outage of the broker shorter than the lease allows', () => {
  it('lets Claude go on to its end, and what it said arrives afterwards, in order, once', async () => {
    lab = await WorkerLab.start({ KSI_LEASE_S: '60' });
    const { worker } = await lab.worker();
    const { taskId } = await lab.post('x [[messages:50]] [[sleep:700]] [[messages:50]]');
    await lab.event('SPAWN_MESSAGE', taskId);
    await lab.server.kill();
    await claudeGone(worker.id);
    assert.deepEqual(lab.ends, [], 'its outcome waits for the broker');
    await lab.server.restart();
    await lab.until(() => lab.ends.find((end) => end === 'completed'));
    const stored = await storedEvents(lab.broker, taskId);
    assertGapless(stored);
    assert.deepEqual(
      stored.map(({ type }) => type).filter((type) => type !== 'SPAWN_MESSAGE'),
      ['SPAWN_QUEUED', 'SPAWN_START', 'SPAWN_COMPLETE'],
    );
    // The 100 that were asked for, the answer and the first message.
    assert.equal(stored.filter(({ type }) => type === 'SPAWN_MESSAGE').length, 102);
  });
});

describe('an outage of the broker longer than the lease allows', () => {
  const LEASE_S = '2';

  for (const [how, away, back] of [
    ['it hangs', () => lab.server.pause(), () => lab.server.resume()],
    ['it is killed', () => lab.server.kill(), () => lab.server.restart()],
  ] as const)
    it(`ends in a clean second attempt, which the broker's absence alone is the reason for (${how})`, async () => {
      lab = await WorkerLab.start({ KSI_LEASE_S: LEASE_S });
      const { worker } = await lab.worker();
      const { taskId } = await lab.post('x [[fork:60000]] [[messages:3]] [[sleep:4000]] [[messages:3]]', ONE_ATTEMPT);
      await lab.event('SPAWN_MESSAGE', taskId);
      await away();
      // It fences itself, and its processes end while the broker is away.
      await claudeGone(worker.id);
      await back();
      const end = await lab.until(() => lab.ends.find((end) => end !== 'lost'));
      assert.equal(end, 'broker_lost');
      await lab.until(() => lab.ends.find((end) => end === 'completed'));
      const stored = await storedEvents(lab.broker, taskId);
      assertGapless(stored);
      const outcome = stored.at(-1);
      assert.ok(outcome);
      assert.equal(dataOf('SPAWN_COMPLETE', outcome).attempt, 2);
      const [retry] = stored.filter(({ type }) => type === 'SPAWN_RETRY');
      assert.ok(retry);
      const { reason, counted, attempt } = dataOf('SPAWN_RETRY', retry);
      assert.deepEqual([reason, counted, attempt], ['broker_lost', false, 1]);
      await claudeGone(worker.id);
    });

  it('is not what a worker speaks of that stood still itself', async () => {
    lab = await WorkerLab.start({ KSI_LEASE_S: LEASE_S });
    const child = workerProcess(lab, { KSI_LEASE_S: LEASE_S });
    const { taskId } = await lab.post('x [[sleep:3500]]', ONE_ATTEMPT);
    await lab.event('SPAWN_START', taskId);
    child.kill('SIGSTOP');
    await sleep(1.5 * Number(LEASE_S) * 1_000);
    child.kill('SIGCONT');
    assert.equal(dataOf('SPAWN_COMPLETE', await lab.outcome(taskId)).attempt, 2);
    assert.deepEqual(
      retries(taskId).map(({ reason }) => reason),
      ['worker_lost'],
    );
  });
});
