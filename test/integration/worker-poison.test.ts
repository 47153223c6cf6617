import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import { check } from '../../contracts/wire/check.js';
import { DeadLetter } from '../../contracts/tasks/dead-letters.js';
import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { lastBySubject } from '../../src/broker/read.js';
import { assertGapless, storedEvents } from '../fixtures/stored-events.js';
import { workerProcess } from '../fixtures/worker-process.js';
import { dataOf, WorkerLab } from '../fixtures/worker.js';

const WORKERS = 2;
const MAX_STARTS = 5;

describe('a task that takes its worker down, whichever has it', () => {
  let lab: WorkerLab;
  let stopping = false;
  let deaths = 0;
  /** A worker that is started again whenever it dies, as by its supervisor. */
  const keepRunning = (): void => {
    const env = { KSI_LEASE_S: '2', KSI_CONCURRENCY: '2', KSI_CONTAINMENT: 'process_group' };
    const child: ChildProcess = workerProcess(lab, env);
    child.once('exit', (_code, signal) => {
      if (stopping) return;
      assert.equal(signal, 'SIGKILL');
      deaths += 1;
      keepRunning();
    });
  };
  before(async () => {
    lab = await WorkerLab.start({ KSI_LEASE_S: '2' });
    for (let n = 0; n < WORKERS; n++) keepRunning();
  });
  after(async () => {
    stopping = true;
    await lab.stop();
  });

  it('is given up after five starts, with a dead letter, and the others go on', async () => {
    const poison = await lab.post('x [[messages:2]] [[kill-worker]] [[hang]]');
    const behind = await lab.post('behind it in its session', { sessionId: poison.sessionId });
    // They take longer than the one beside them lets their worker live.
    const long = await Promise.all(Array.from({ length: 3 }, () => lab.post('x [[sleep:1500]]')));
    const others = [...long];
    const outcome = lab.outcome(poison.taskId);
    const isEnded = (): boolean => lab.of(poison.taskId).at(-1)?.type === 'SPAWN_ERROR';
    while (!isEnded()) {
      const other = await lab.post('x [[sleep:50]]', { command: { policy: { max_attempts: 1 } } });
      others.push(other);
      await Promise.race([outcome, lab.outcome(other.taskId)]);
    }

    const { error, given_up, attempt } = dataOf('SPAWN_ERROR', await outcome);
    assert.deepEqual([error.code, given_up, attempt], ['worker_lost', 'workers_lost', MAX_STARTS]);
    assert.equal(deaths, MAX_STARTS);
    const stored = await storedEvents(lab.broker, poison.taskId);
    assertGapless(stored);
    assert.equal(stored.filter(({ type }) => type === 'SPAWN_START').length, MAX_STARTS);

    dataOf('SPAWN_COMPLETE', await lab.outcome(behind.taskId));
    // Its session went on after its dead letter was stored.
    const dead = await lastBySubject(lab.broker, STREAM.dead, SUBJECT.dead('default', poison.taskId));
    const letter = check(DeadLetter, JSON.parse(new TextDecoder().decode(dead?.data)));
    assert.ok(letter.ok);
    assert.equal(letter.value.given_up, 'workers_lost');
    assert.equal(letter.value.history.filter(({ type }) => type === 'SPAWN_START').length, MAX_STARTS);

    assert.ok(others.length > 0);
    for (const { taskId } of others) dataOf('SPAWN_COMPLETE', await lab.outcome(taskId));
  });
});
