import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Broker } from '../../src/broker/connect.js';
import { Puller, type Delivery } from '../../src/broker/consume.js';
import { isBrokerError } from '../../src/broker/errors.js';
import { eventPublication, newEvent } from '../../src/broker/events.js';
import { lastBySubject } from '../../src/broker/read.js';
import {
  directRun,
  promote,
  releaseSession,
  storeWaiting,
  sweepSessions,
  type TaskMessage,
} from '../../src/broker/session-queue.js';
import { CONSUMER, HEADER, LANES, STREAM, SUBJECT } from '../../contracts/names.js';
import { startTestBroker, type TestBroker } from '../fixtures/broker.js';
import { connectTest } from '../fixtures/connection.js';
import { seededRandom } from '../fixtures/random.js';

const SEED = Number(process.env['KSI_TEST_SEED'] ?? 20_261_123);

/** A step that a crash may stand before: the process that throws this does nothing more of what it was at. */
class Crash extends Error {}

describe('one run per session', () => {
  let server: TestBroker;
  let broker: Broker;
  before(async () => {
    server = await startTestBroker({ sync: '1s' });
    broker = await connectTest(server.url, { KSI_LEASE_S: '2' });
  });
  after(async () => {
    await broker.close();
    await server.stop();
  });

  const task = (sessionId: string): TaskMessage => {
    const taskId = randomUUID();
    return { taskId, sessionId, queue: 'default', payload: JSON.stringify({ task_id: taskId }), headers: {} };
  };

  const accept = async (message: TaskMessage): Promise<'run' | 'waiting'> => {
    try {
      await broker.publisher.publish(directRun(message, 'normal'));
      return 'run';
    } catch (error) {
      if (!isBrokerError(error, 'conflict')) throw error;
      await storeWaiting(broker, message);
      return 'waiting';
    }
  };

  const complete = async (message: { taskId: string; sessionId: string }): Promise<void> => {
    const filter = SUBJECT.taskStates(message.taskId);
    const last = await lastBySubject(broker, STREAM.events, filter);
    const event = newEvent('SPAWN_COMPLETE', {
      task_id: message.taskId,
      session_id: message.sessionId,
      owner: 'local',
      attempt: 1,
      n: 2,
      output: {},
    });
    await broker.publisher.publish(
      eventPublication(event, SUBJECT.taskState(message.taskId, 'complete'), { filter, seq: last?.seq ?? 0 }),
    );
  };

  it('refuses a second run, queues it behind the first and promotes it when that ends', async () => {
    const sessionId = randomUUID();
    const [first, second, third] = [task(sessionId), task(sessionId), task(sessionId)];
    assert.equal(await accept(first), 'run');
    assert.equal(await accept(second), 'waiting');
    assert.equal(await accept(third), 'waiting');
    assert.equal(await promote(broker, sessionId), undefined, 'while the run stands nothing is promoted');
    assert.equal(await promote(broker, sessionId, first.taskId), undefined, 'nor while it has no outcome');
    await complete(first);
    const deliveries = await takeAll(broker);
    const run = deliveries.find((delivery) => delivery.header(HEADER.taskId) === first.taskId);
    assert.ok(run);
    await releaseSession(broker, sessionId, first.taskId, () => run.ack());
    const next = await lastBySubject(broker, STREAM.commands, SUBJECT.sessionRuns(sessionId));
    assert.equal(next?.header(HEADER.taskId), second.taskId);
    assert.equal(next?.subject, SUBJECT.run('default', 'next', sessionId));
    await broker.jsm.streams.purge(STREAM.commands);
  });

  it(`holds with crashes between any two steps (seed ${SEED})`, async () => {
    const random = seededRandom(SEED);
    const sessions = Array.from({ length: 6 }, () => ({
      id: randomUUID(),
      accepted: [] as string[],
      ran: [] as string[],
      running: new Set<string>(),
    }));
    const bySession = new Map<string, (typeof sessions)[number]>(sessions.map((session) => [session.id, session]));
    const TASKS = 120;
    let ended = 0;
    let crashes = 0;
    const maybeCrash = (): void => {
      if (random() >= 0.12) return;
      crashes++;
      throw new Crash();
    };
    const stop = new AbortController();
    const done = deferred();

    const work = async (delivery: Delivery): Promise<void> => {
      const sessionId = delivery.subject.slice(delivery.subject.lastIndexOf('.') + 1);
      const taskId = delivery.header(HEADER.taskId);
      const session = bySession.get(sessionId);
      assert.ok(session);
      const state = await lastBySubject(broker, STREAM.events, SUBJECT.taskStates(taskId));
      maybeCrash();
      if (state === undefined) {
        assert.equal(session.running.size, 0, 'two runs of one session at once');
        session.running.add(taskId);
        await new Promise(setImmediate);
        session.running.delete(taskId);
        await complete({ taskId, sessionId });
        session.ran.push(taskId);
        ended++;
        if (ended === TASKS) done.resolve();
      }
      maybeCrash();
      await releaseSession(broker, sessionId, taskId, async () => {
        maybeCrash();
        await delivery.ack();
        maybeCrash();
      });
    };
    const pullers = LANES.map((lane) => {
      const puller: Puller = new Puller({
        broker,
        stream: STREAM.commands,
        consumer: CONSUMER.lane('default', lane),
        onDelivery: (delivery) => {
          work(delivery)
            .catch((error: unknown) => {
              if (!(error instanceof Crash)) done.reject(error as Error);
            })
            .finally(() => void (puller.busy || stop.signal.aborted || puller.park(5_000)));
        },
        onEnd: () => void (stop.signal.aborted || puller.park(5_000)),
      });
      puller.park(5_000);
      return puller;
    });
    const sweeping = (async () => {
      while (!stop.signal.aborted) await sweepSessions(broker, stop.signal);
    })();

    for (let i = 0; i < TASKS; i++) {
      const session = sessions[Math.floor(random() * sessions.length)];
      assert.ok(session);
      const message = task(session.id);
      session.accepted.push(message.taskId);
      if ((await accept(message)) === 'waiting' && random() < 0.5) {
        const promoted = await promote(broker, session.id);
        // Half the time the promoter dies before it deletes the entry.
        if (promoted !== undefined && random() < 0.5)
          await broker.jsm.streams.deleteMessage(STREAM.commands, promoted.waitingSeq).catch(() => undefined);
      }
    }
    try {
      await done.promise;
      for (const session of sessions)
        assert.deepEqual(session.ran, session.accepted, 'every task once, in the order asked for');
      assert.ok(crashes > 20, `only ${crashes} crashes were tried`);
      // Nothing stays behind: the runs whose acknowledgement was lost to a crash come again after a lease and are finished.
      await emptied(broker);
    } finally {
      stop.abort();
      await sweeping;
      await Promise.all(pullers.map((puller) => puller.stop()));
    }
  });
});

/** Takes whatever stands in the lanes now. */
async function takeAll(broker: Broker): Promise<Delivery[]> {
  const taken: Delivery[] = [];
  for (const lane of LANES) {
    const puller = new Puller({
      broker,
      stream: STREAM.commands,
      consumer: CONSUMER.lane('default', lane),
      onDelivery: (delivery) => taken.push(delivery),
      onEnd: () => undefined,
    });
    while ((await puller.tryNow()) === 'message');
    await puller.stop();
  }
  return taken;
}

/** Resolves when KSI_COMMANDS holds nothing. */
async function emptied(broker: Broker): Promise<void> {
  // The broker says nothing when a stream runs empty, so this asks.
  while ((await broker.jsm.streams.info(STREAM.commands)).state.messages > 0) await sleep(100);
}

function deferred(): { promise: Promise<void>; resolve: () => void; reject: (error: Error) => void } {
  let settle: { resolve: () => void; reject: (error: Error) => void } | undefined;
  const promise = new Promise<void>((resolve, reject) => (settle = { resolve, reject }));
  assert.ok(settle);
  return { promise, ...settle };
}
