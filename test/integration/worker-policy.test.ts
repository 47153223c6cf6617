import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { v4 as uuidv4 } from 'uuid';
import type { EventData } from '../../contracts/events/events.js';
import type { Policy } from '../../contracts/tasks/policy.js';
import { dataOf, WorkerLab, type PostOptions } from '../fixtures/worker.js';

const QUICK = { base_s: 0.05, factor: 1 };

describe("a task's policy", () => {
  let lab: WorkerLab;
  before(async () => {
    lab = await WorkerLab.start({ KSI_CONCURRENCY: '1', KSI_LEASE_S: '4', KSI_USAGE_LIMIT: 'task' });
    await lab.worker();
  });
  after(() => lab.stop());

  const post = (prompt: string, policy: Policy, options: PostOptions = {}) =>
    lab.post(prompt, { ...options, command: { policy, ...options.command } });
  const retries = (taskId: string): EventData<'SPAWN_RETRY'>[] =>
    lab
      .of(taskId)
      .filter(({ type }) => type === 'SPAWN_RETRY')
      .map(({ data }) => data as EventData<'SPAWN_RETRY'>);
  const timeOf = (event: { timestamp: string }): number => Date.parse(event.timestamp);

  it('tries again what may help, in the same working folder and session, until it succeeds', async () => {
    const { taskId } = await post('x [[flaky:2]]', { backoff: QUICK });
    assert.equal(dataOf('SPAWN_COMPLETE', await lab.outcome(taskId)).attempt, 3);
    assert.deepEqual(
      retries(taskId).map(({ attempt, reason, counted }) => [attempt, reason, counted]),
      [
        [1, 'claude_crashed', true],
        [2, 'claude_crashed', true],
      ],
    );
  });

  it('starts no attempt before its time', async () => {
    const { taskId } = await post('x [[flaky:1]]', { backoff: { base_s: 1, factor: 1 } });
    const { data } = await lab.event('SPAWN_RETRY', taskId);
    const second = await lab.event('SPAWN_START', taskId, ({ attempt }) => attempt === 2);
    assert.ok(timeOf(second) >= Date.parse(data.retry_at ?? ''));
  });

  it('gives up after max_attempts, with the last error as the outcome', async () => {
    const { taskId } = await post('x [[die:3]]', { max_attempts: 2, backoff: QUICK });
    const { error, given_up, attempt } = dataOf('SPAWN_ERROR', await lab.outcome(taskId));
    assert.deepEqual([error.code, given_up, attempt], ['claude_crashed', 'attempts_exhausted', 2]);
  });

  it('does not try again what no attempt helps, nor what retry_on leaves out', async () => {
    const refused = await post('x [[error:401]]', { backoff: QUICK });
    const left = await post('x [[die:3]]', { backoff: QUICK, retry_on: ['claude_overloaded'] });
    for (const { taskId } of [refused, left]) {
      const { attempt, given_up } = dataOf('SPAWN_ERROR', await lab.outcome(taskId));
      assert.deepEqual([attempt, given_up], [1, undefined]);
    }
  });

  it('frees the slot while it waits, and keeps the place in its session', async () => {
    const backoff = { base_s: 3600, factor: 1, max_s: 3600 };
    const { taskId, sessionId } = await post('x [[limited:2]] [[error:429]] [[flaky:0]]', {
      max_attempts: 2,
      backoff: QUICK,
    });
    const { data } = await lab.event('SPAWN_RETRY', taskId);
    assert.equal(data.reason, 'claude_rate_limited');
    // A usage limit names its reset, which is kept to.
    assert.ok(Date.parse(data.retry_at ?? '') - Date.now() > 500);
    const behind = await lab.post('behind', { sessionId });
    const other = await post('meanwhile', { backoff });
    await lab.outcome(other.taskId);
    assert.equal(lab.of(taskId).at(-1)?.type, 'SPAWN_RETRY');
    const outcome = await lab.outcome(taskId);
    const next = await lab.event('SPAWN_START', behind.taskId);
    assert.ok(timeOf(next) >= timeOf(outcome));
    await lab.outcome(behind.taskId);
  });

  it('ends an attempt that takes too long', async () => {
    const { taskId } = await post('x [[hang]]', { max_attempts: 1, timeout_s: 1 });
    assert.equal(dataOf('SPAWN_ERROR', await lab.outcome(taskId)).error.code, 'claude_timeout');
  });

  it('ends an attempt that is silent too long, and no other', async () => {
    const silent = await post('x [[hang]] [[ignore-sigterm]]', { max_attempts: 1, idle_timeout_s: 1 });
    assert.equal(dataOf('SPAWN_ERROR', await lab.outcome(silent.taskId)).error.code, 'claude_idle');
    const steady = `x ${'[[sleep:600]] [[messages:1]] '.repeat(4)}`;
    const talking = await post(steady, { max_attempts: 1, idle_timeout_s: 1 });
    dataOf('SPAWN_COMPLETE', await lab.outcome(talking.taskId));
  });

  it('expires what could not start in time, and gives its session free', async () => {
    const sessionId = uuidv4();
    const accepted_at = new Date(Date.now() - 5_000).toISOString();
    const late = await post('x', { queue_timeout_s: 4 }, { sessionId, command: { accepted_at } });
    const after = await lab.post('after', { sessionId });
    assert.equal(dataOf('SPAWN_EXPIRED', await lab.outcome(late.taskId)).queue_timeout_s, 4);
    dataOf('SPAWN_COMPLETE', await lab.outcome(after.taskId));
    // Once it has started, the time to start is no matter.
    const retried = await post('x [[flaky:1]]', { queue_timeout_s: 1, backoff: { base_s: 2, factor: 1 } });
    dataOf('SPAWN_COMPLETE', await lab.outcome(retried.taskId));
  });

  it('counts no attempt for a redelivery that comes early', async () => {
    const policy = { max_attempts: 2, backoff: QUICK };
    const redeliveredDuring = async (limitS: number): Promise<{ taskId: string; early: boolean }> => {
      const { taskId } = await post(`x [[limited:${limitS}]] [[error:429]]`, policy);
      await lab.event('SPAWN_RETRY', taskId);
      // The broker forgets for how long the run was given back.
      await lab.server.kill();
      await lab.server.restart();
      const early = await lab.until(() => {
        if (lab.ends.at(-1) === 'given_back') return true;
        return lab.of(taskId).filter(({ type }) => type === 'SPAWN_START').length > 1 ? false : undefined;
      });
      return { taskId, early };
    };
    let limitS = 8;
    let { taskId, early } = await redeliveredDuring(limitS);
    // The broker took longer to restart than the limit lasted.
    while (!early) ({ taskId, early } = await redeliveredDuring((limitS *= 4)));
    const { attempt } = dataOf('SPAWN_ERROR', await lab.outcome(taskId));
    assert.equal(attempt, 2);
    assert.equal(retries(taskId).length, 1);
    const [start] = lab
      .of(taskId)
      .filter(({ type }) => type === 'SPAWN_START')
      .slice(1);
    assert.ok(start !== undefined && timeOf(start) >= Date.parse(retries(taskId)[0]?.retry_at ?? ''));
  });
});

describe('an attempt that a shutdown ended', () => {
  it('is not one of max_attempts', async () => {
    const lab = await WorkerLab.start({ KSI_DRAIN_S: '0' });
    try {
      const first = await lab.worker();
      const { taskId } = await lab.post('x [[sleep:1000]]', { command: { policy: { max_attempts: 1 } } });
      await lab.event('SPAWN_START', taskId);
      await first.worker.stop();
      await lab.worker();
      const { attempt } = dataOf('SPAWN_COMPLETE', await lab.outcome(taskId));
      assert.equal(attempt, 2);
    } finally {
      await lab.stop();
    }
  });
});
