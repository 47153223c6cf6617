import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { HEADER, SCHEDULE, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { releaseUnstarted } from '../../src/tasks/steer/release-unstarted.js';
import type { Broker } from '../../src/broker/connect.js';
import { isBrokerError } from '../../src/broker/errors.js';
import { eventPublication, newEvent } from '../../src/broker/events.js';
import {
  isSuperseded,
  ensureWakeup,
  park,
  parkedTaskOf,
  sweepParked,
  wakeParked,
  type TaskRef,
} from '../../src/broker/parked-runs.js';
import {
  bySequence,
  deleteMessage,
  lastBySubject,
  nextBySubject,
  subjectsOf,
  type Stored,
} from '../../src/broker/read.js';
import { directRun, releaseSession, storeWaiting } from '../../src/broker/session-queue.js';
import { startTestBroker, type TestBroker } from '../fixtures/broker.js';
import { connectTest, silent } from '../fixtures/connection.js';
import { FAULTS, faultyBroker } from '../fixtures/faulty-broker.js';
import { systemClock } from '../../src/clock.js';

const HOUR_MS = 3_600_000;
const LATER = Date.now() + HOUR_MS;
const signal = new AbortController().signal;

describe('a run that waits long', () => {
  let server: TestBroker;
  let broker: Broker;
  before(async () => {
    server = await startTestBroker({ sync: '1s' });
    broker = await connectTest(server.url);
  });
  after(async () => {
    await broker.close();
    await server.stop();
  });

  interface Waiting {
    readonly task: TaskRef;
    readonly run: Stored;
    /** Waits for the session. */
    readonly behind: string;
    readonly retrySeq: number;
  }

  /** A task whose first attempt has failed, and is to be made again in an hour. */
  async function failed(): Promise<Waiting> {
    const task = { taskId: randomUUID(), sessionId: randomUUID() };
    const behind = randomUUID();
    const message = { ...task, queue: 'default', headers: { [HEADER.traceparent]: 'tp' } };
    const { seq } = await broker.publisher.publish(
      directRun({ ...message, payload: `{"id":"${task.taskId}"}` }, 'normal'),
    );
    await storeWaiting(broker, { ...message, taskId: behind, payload: '{}' });
    const start = { attempt: 1, n: 1, worker_id: 'w', host: 'h', transcript_seq: 0, run: { seq, delivery: 1 } };
    const startSeq = await put(task, 0, 'SPAWN_START', 'start', start);
    const retry = {
      attempt: 1,
      reason: 'claude_rate_limited',
      worker_id: 'w',
      retry_at: new Date(LATER).toISOString(),
    };
    const retrySeq = await put(task, startSeq, 'SPAWN_RETRY', 'retry', retry);
    const run = await bySequence(broker, STREAM.commands, seq);
    assert.ok(run);
    return { task, run, behind, retrySeq };
  }

  async function put(task: TaskRef, seq: number, type: string, token: string, data: object): Promise<number> {
    const event = newEvent(systemClock, type as 'SPAWN_RETRY', { task_id: task.taskId, ...data } as never);
    const expect = { filter: SUBJECT.taskStates(task.taskId), seq };
    return (await broker.publisher.publish(eventPublication(event, SUBJECT.taskState(task.taskId, token), expect))).seq;
  }

  const cancelled = ({ task, retrySeq }: Waiting): Promise<number> =>
    put(task, retrySeq, 'SPAWN_CANCELLED', 'cancelled', { reason: 'requested' });

  /** What a worker does with a delivery of the run. */
  async function pause(as: Broker, { task, run }: Waiting): Promise<void> {
    if (await isSuperseded(as, task, run.seq)) await ensureWakeup(as, task);
    else await park(as, task, run);
    await deleteMessage(as, STREAM.commands, run.seq);
  }

  /** What a worker does to whom the run is delivered again, if it is still there. */
  async function redelivered(waiting: Waiting): Promise<void> {
    if ((await bySequence(broker, STREAM.commands, waiting.run.seq)) === undefined) return;
    const state = await lastBySubject(broker, STREAM.events, SUBJECT.taskStates(waiting.task.taskId));
    const { taskId, sessionId } = waiting.task;
    const remove = (): Promise<void> => deleteMessage(broker, STREAM.commands, waiting.run.seq);
    if (state?.subject.endsWith('.cancelled') === true) await releaseSession(broker, sessionId, taskId, remove);
    else await pause(broker, waiting);
  }

  const standing = async ({ task }: Waiting): Promise<string[]> => {
    const found: string[] = [];
    for (let seq = 1; ;) {
      const stored = await nextBySubject(broker, STREAM.commands, SUBJECT.session(task.sessionId), seq);
      if (stored === undefined) return found;
      const [, , kind, , runPriority] = stored.subject.split('.');
      const id = stored.header(HEADER.taskId);
      found.push(`${id === task.taskId ? 'task' : 'behind'} ${kind === 'wait' ? kind : runPriority}`);
      seq = stored.seq + 1;
    }
  };
  const isScheduled = async ({ task }: Waiting): Promise<boolean> => {
    const id = SCHEDULE.parked(task.sessionId, task.taskId);
    return (await lastBySubject(broker, STREAM.schedules, SUBJECT.schedule(id))) !== undefined;
  };
  const sweep = (ended: readonly string[] = []): Promise<number> =>
    sweepParked(broker, (id) => ended.includes(id), signal);

  it('gives up its lane, not its place, and comes back as it was', async () => {
    const waiting = await failed();
    await pause(broker, waiting);
    assert.deepEqual(await standing(waiting), ['behind wait', 'task parked']);
    assert.ok(await isScheduled(waiting));
    assert.equal((await wakeParked(broker, waiting.task)).kind, 'early');
    assert.equal((await wakeParked(broker, waiting.task, LATER)).kind, 'awake');
    assert.deepEqual(await standing(waiting), ['behind wait', 'task next']);
    const back = await lastBySubject(broker, STREAM.commands, SUBJECT.sessionRuns(waiting.task.sessionId));
    assert.deepEqual(back?.data, waiting.run.data);
    assert.equal(back?.header(HEADER.traceparent), 'tp');
    assert.equal(await isScheduled(waiting), false);
    assert.equal((await wakeParked(broker, waiting.task, LATER)).kind, 'gone');
  });

  it('is told apart from other schedules', () => {
    assert.equal(parkedTaskOf(SUBJECT.due('daily_report_x')), undefined);
    assert.deepEqual(parkedTaskOf(SUBJECT.due(SCHEDULE.parked('s', 't'))), { sessionId: 's', taskId: 't' });
  });

  for (const fault of FAULTS) {
    /** Does it with the fault at each of its steps in turn, each time with another task, and then checks. */
    const atEachStep = async (
      prepare: () => Promise<Waiting>,
      act: (as: Broker, waiting: Waiting) => Promise<unknown>,
      check: (waiting: Waiting) => Promise<void>,
    ): Promise<void> => {
      for (let at = 1; ; at++) {
        const waiting = await prepare();
        const faulty = faultyBroker(broker, at, fault);
        const acted = act(faulty.broker, waiting).then(
          () => 'done',
          (error: unknown) => {
            assert.ok(isBrokerError(error), String(error));
            return 'failed';
          },
        );
        const end = await Promise.race([acted, faulty.happened.then(() => 'happened')]);
        // A process that goes on does so before anybody looks.
        if (fault === 'unsent' || fault === 'unanswered') await acted;
        await check(waiting).catch((error: unknown) => {
          throw new Error(`with ${fault} at step ${at}`, { cause: error });
        });
        if (end === 'done' && at > 1) return;
      }
    };
    const parked = async (): Promise<Waiting> => {
      const waiting = await failed();
      await pause(broker, waiting);
      return waiting;
    };

    it(`is parked in the end, once, whatever step of that is lost (${fault})`, () =>
      atEachStep(failed, pause, async (waiting) => {
        await sweep();
        await redelivered(waiting);
        assert.deepEqual(await standing(waiting), ['behind wait', 'task parked']);
        assert.ok(await isScheduled(waiting));
      }));

    it(`is woken in the end, once, whatever step of that is lost (${fault})`, () =>
      atEachStep(
        parked,
        (as, { task }) => wakeParked(as, task, LATER),
        async (waiting) => {
          await wakeParked(broker, waiting.task, LATER);
          await sweep();
          assert.deepEqual(await standing(waiting), ['behind wait', 'task next']);
        },
      ));

    it(`is off the queue once cancelled, whatever step of that is lost, and its session goes on (${fault})`, () =>
      atEachStep(
        parked,
        async (as, waiting) => {
          await cancelled(waiting);
          await releaseUnstarted(
            as,
            { task_id: waiting.task.taskId, session_id: waiting.task.sessionId, owner: '' },
            silent,
          );
        },
        async (waiting) => {
          await sweep([waiting.task.taskId]);
          const left = (await standing(waiting)).filter((entry) => entry !== 'behind wait');
          assert.deepEqual(left, ['behind next']);
          assert.equal(await isScheduled(waiting), false);
        },
      ));

    it(`is off the queue when cancelled while it is parked, whatever step is lost (${fault})`, () =>
      atEachStep(
        failed,
        async (as, waiting) => {
          await Promise.all([
            pause(as, waiting),
            cancelled(waiting).then(() =>
              releaseUnstarted(
                broker,
                { task_id: waiting.task.taskId, session_id: waiting.task.sessionId, owner: '' },
                silent,
              ),
            ),
          ]);
        },
        async (waiting) => {
          await lastState(waiting, 'cancelled');
          await redelivered(waiting);
          await sweep([waiting.task.taskId]);
          const left = (await standing(waiting)).filter((entry) => entry !== 'behind wait');
          assert.deepEqual(left, ['behind next']);
          assert.equal(await isScheduled(waiting), false);
        },
      ));
  }

  async function lastState({ task }: Waiting, token: string): Promise<void> {
    for (;;) {
      const state = await lastBySubject(broker, STREAM.events, SUBJECT.taskStates(task.taskId));
      if (state?.subject.endsWith(`.${token}`) === true) return;
    }
  }

  it('is woken once by many at once', async () => {
    const waiting = await failed();
    await pause(broker, waiting);
    const woken = await Promise.all(Array.from({ length: 8 }, () => wakeParked(broker, waiting.task, LATER)));
    assert.equal(woken.filter(({ kind }) => kind === 'awake').length, 1);
    assert.deepEqual(await standing(waiting), ['behind wait', 'task next']);
  });

  it('does not come to stand beside an attempt that began from the earlier message, whoever was late', async () => {
    const waiting = await failed();
    const { task, run, retrySeq } = waiting;
    const start = {
      attempt: 2,
      n: 1,
      worker_id: 'w2',
      host: 'h',
      transcript_seq: 0,
      run: { seq: run.seq, delivery: 2 },
    };
    const startSeq = await put(task, retrySeq, 'SPAWN_START', 'start', start);
    await park(broker, task, run);
    assert.equal(await isScheduled(waiting), false);
    assert.equal((await wakeParked(broker, task, LATER)).kind, 'gone');
    await sweep();
    assert.deepEqual(await standing(waiting), ['task normal', 'behind wait', 'task parked']);
    // The attempt is lost: its message comes again, makes way for the parked one, and that goes on at once.
    await redelivered(waiting);
    await sweep();
    assert.deepEqual(await standing(waiting), ['behind wait', 'task next']);
    assert.ok(startSeq > 0);
  });

  it('leaves nothing behind', async () => {
    // Those that were parked and never woken, above, and those woken by one who died before it removed their schedule.
    for (const subject of await subjectsOf(broker, STREAM.schedules, SUBJECT.schedulesAll)) {
      const task = parkedTaskOf(subject);
      assert.ok(task);
      await wakeParked(broker, task, LATER);
      await sweepParked(broker, () => true, signal);
    }
    assert.deepEqual(await subjectsOf(broker, STREAM.commands, SUBJECT.allParked), []);
    assert.deepEqual(await subjectsOf(broker, STREAM.schedules, '>'), []);
  });
});
