import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { check } from '../../contracts/wire/check.js';
import { DeadLetter, DeadLetterRef } from '../../contracts/tasks/dead-letters.js';
import type { EventData, EventType } from '../../contracts/events/events.js';
import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
import type { SpawnCommand } from '../../contracts/tasks/spawn.js';
import { TASK_STATES } from '../../contracts/tasks/states.js';
import { Blobs } from '../../src/broker/blobs.js';
import { eventPublication, newEvent } from '../../src/broker/events.js';
import { deleteMessage, lastBySubject, nextBySubject } from '../../src/broker/read.js';
import { sleep, systemClock } from '../../src/clock.js';
import { WorkerLab } from '../fixtures/worker.js';

const GIVES_UP = { policy: { max_attempts: 2, backoff: { base_s: 0.05 } } };

describe('a task that was given up', () => {
  let lab: WorkerLab;
  before(async () => {
    lab = await WorkerLab.start({ KSI_LEASE_S: '2' });
  });
  after(() => lab.stop());

  const stored = async (taskId: string): Promise<unknown> => {
    const message = await lastBySubject(lab.broker, STREAM.dead, SUBJECT.dead('default', taskId));
    return message === undefined ? undefined : JSON.parse(new TextDecoder().decode(message.data));
  };
  const letter = async (taskId: string): Promise<DeadLetter> => {
    const checked = check(DeadLetter, await stored(taskId));
    assert.ok(checked.ok, JSON.stringify(checked));
    return checked.value;
  };
  /** Resolves when the session has nothing in the command stream any more: the runs of this test have all ended. */
  const released = async (sessionId: string): Promise<void> => {
    for (let ends = lab.ends.length; ;) {
      if ((await lastBySubject(lab.broker, STREAM.commands, SUBJECT.session(sessionId))) === undefined) return;
      await lab.until(() => (lab.ends.length > ends ? true : undefined));
      ends = lab.ends.length;
    }
  };

  it('has a letter with its whole command and history, and its session goes on', async () => {
    const { worker } = await lab.worker();
    const { taskId, sessionId } = await lab.post('x [[die:3]]', { command: GIVES_UP });
    const behind = await lab.post('behind', { sessionId });
    await lab.outcome(behind.taskId);
    const { command, history, given_up, error } = await letter(taskId);
    assert.equal((command as SpawnCommand).prompt, 'x [[die:3]]');
    assert.deepEqual([given_up, error.code], ['attempts_exhausted', 'claude_crashed']);
    const types = ['SPAWN_QUEUED', 'SPAWN_START', 'SPAWN_RETRY', 'SPAWN_START', 'SPAWN_ERROR'];
    assert.deepEqual(
      history.map(({ type }) => type),
      types,
    );
    await released(sessionId);
    await worker.stop();
  });

  it('has none when the error was simply its outcome, or it succeeded', async () => {
    const { worker } = await lab.worker();
    const failed = await lab.post('x [[error:401]]', { command: GIVES_UP });
    const completed = await lab.post('x', { command: GIVES_UP });
    for (const { taskId, sessionId } of [failed, completed]) {
      await lab.outcome(taskId);
      await released(sessionId);
      assert.equal(await stored(taskId), undefined);
    }
    await worker.stop();
  });

  it('keeps a command too large for a message whole', async () => {
    const { worker } = await lab.worker();
    const prompt = `x [[die:3]]${'y'.repeat(1_200_000)}`;
    const { taskId, sessionId } = await lab.post(prompt, { command: GIVES_UP });
    await lab.outcome(taskId);
    await released(sessionId);
    const checked = check(DeadLetterRef, await stored(taskId));
    assert.ok(checked.ok);
    const body = JSON.parse(Buffer.from(await new Blobs(lab.broker).get(checked.value.ref)).toString()) as DeadLetter;
    assert.equal((body.command as SpawnCommand).prompt, prompt);
    await worker.stop();
  });

  /** Writes a state as a worker does that dies right after. */
  const states = (taskId: string, sessionId: string) => {
    const identity = { task_id: taskId, session_id: sessionId, owner: 'local' };
    let seq =
      lab.of(taskId).length === 0 ? 0 : (lab.seen.findLast(({ subject }) => subject.includes(taskId))?.seq ?? 0);
    return async (type: EventType, token: string, data: object): Promise<void> => {
      const expect = { filter: SUBJECT.taskStates(taskId), seq };
      const event = newEvent(systemClock, type, { ...identity, ...data } as EventData<EventType>);
      const publication = eventPublication(event, SUBJECT.taskState(taskId, token), expect);
      ({ seq } = await lab.broker.publisher.publish(publication));
    };
  };
  const run = { seq: 1, delivery: 1 };

  it('gets its letter from the redelivery when the worker died between the outcome and the letter, and only one', async () => {
    const { taskId, sessionId } = await lab.post('x');
    await lab.event('SPAWN_QUEUED', taskId);
    const put = states(taskId, sessionId);
    const start = { attempt: 1, n: 1, worker_id: 'w_dead', host: 'h', transcript_seq: 0, run };
    await put('SPAWN_START', TASK_STATES.running.token, start);
    const error = { code: 'claude_crashed', message: 'm', retryable: true };
    const end = { attempt: 1, n: 2, error, given_up: 'attempts_exhausted' };
    await put('SPAWN_ERROR', TASK_STATES.failed.token, end);
    const { worker } = await lab.worker();
    await released(sessionId);
    assert.equal((await letter(taskId)).error.code, 'claude_crashed');
    const first = await nextBySubject(lab.broker, STREAM.dead, SUBJECT.dead('default', taskId));
    assert.equal(
      await nextBySubject(lab.broker, STREAM.dead, SUBJECT.dead('default', taskId), (first?.seq ?? 0) + 1),
      undefined,
    );
    await worker.stop();
  });

  it('is there too when it took its workers down again and again', async () => {
    const { taskId, sessionId } = await lab.post('x');
    await lab.event('SPAWN_QUEUED', taskId);
    const put = states(taskId, sessionId);
    for (let attempt = 1; attempt <= 5; attempt++) {
      const start = { attempt, n: 1, worker_id: 'w_dead', host: 'h', transcript_seq: 0, run };
      await put('SPAWN_START', TASK_STATES.running.token, start);
      const retry = { attempt, reason: 'worker_lost', worker_id: 'w_x' };
      await put('SPAWN_RETRY', TASK_STATES.retrying.token, retry);
    }
    const { worker } = await lab.worker();
    await lab.outcome(taskId);
    await released(sessionId);
    const { given_up, history } = await letter(taskId);
    assert.deepEqual([given_up, history.length], ['workers_lost', 12]);
    await worker.stop();
  });

  it('does not hold its session up while there is no room for its letter, which is stored later', async () => {
    await lab.broker.jsm.streams.update(STREAM.dead, { max_msgs: 1 });
    const filler = await lab.broker.publisher
      .publish({ subject: SUBJECT.dead('default', 'filler'), payload: '' })
      .catch(() => undefined);
    const { worker } = await lab.worker();
    const { taskId, sessionId } = await lab.post('x [[die:3]]', { command: GIVES_UP });
    const behind = await lab.post('behind', { sessionId });
    await lab.outcome(behind.taskId);
    await released(sessionId);
    assert.equal(await stored(taskId), undefined);
    if (filler !== undefined) await deleteMessage(lab.broker, STREAM.dead, filler.seq);
    await lab.broker.jsm.streams.update(STREAM.dead, { max_msgs: -1 });
    while ((await stored(taskId)) === undefined) await sleep(systemClock, 50);
    assert.equal((await letter(taskId)).given_up, 'attempts_exhausted');
    await worker.stop();
  });
});
