import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { EventEmitter } from 'node:events';
import { pino } from 'pino';
import { v4 as uuidv4 } from 'uuid';
import { MAX_DEPTH } from '../../contracts/agents/tools.js';
import { HEADER, SUBJECT, type RunPriority } from '../../contracts/wire/names.js';
import { connectBroker } from '../../src/broker/connect.js';
import { readConfig } from '../../src/config/load.js';
import { RunPoller } from '../../workers/queue/run-poller.js';
import { maxHeldRuns, Slots } from '../../workers/queue/slots.js';
import { startTestBroker } from '../fixtures/broker.js';
import { WorkerLab } from '../fixtures/worker.js';
import { makeStreams } from '../fixtures/connection.js';

const starts = (lab: WorkerLab): string[] =>
  lab.seen
    .filter(({ event }) => event.type === 'SPAWN_START')
    .map(({ event }) => (event.data as { task_id: string }).task_id);

describe('lanes', () => {
  let lab: WorkerLab;
  beforeEach(async () => {
    lab = await WorkerLab.start({ KSI_CONCURRENCY: '1' });
  });
  afterEach(() => lab.stop());

  it('are served in the order of their priorities', async () => {
    const low = await lab.post('x', { priority: 'low' });
    const normal = await lab.post('x');
    const high = await lab.post('x', { priority: 'high' });
    await lab.worker();
    const ids = [high.taskId, normal.taskId, low.taskId];
    await Promise.all(ids.map((id) => lab.outcome(id)));
    assert.deepEqual(starts(lab), ids);
  });

  it('serve a promoted task in turn with the priorities', async () => {
    const first = await lab.post('x');
    const next = await lab.post('x', { sessionId: first.sessionId });
    const others = [];
    for (let index = 0; index < 5; index++) others.push((await lab.post('x')).taskId);
    await lab.worker();
    await Promise.all([first.taskId, next.taskId, ...others].map((id) => lab.outcome(id)));
    assert.ok(starts(lab).indexOf(next.taskId) <= 2, 'the promoted task stood behind the queue again');
  });

  it('give back at once what finds no free slot', async () => {
    const { worker } = await lab.worker();
    // Waiting at all lanes now, the worker may be handed one task of each.
    const posted = await Promise.all([
      lab.post('x [[sleep:300]]', { priority: 'high' }),
      lab.post('x [[sleep:300]]', { priority: 'low' }),
      lab.post('x [[sleep:300]]'),
    ]);
    await lab.event('SPAWN_START', posted[0].taskId);
    assert.equal(worker.running, 1);
    const second = await lab.worker();
    await Promise.all(posted.map(({ taskId }) => lab.outcome(taskId)));
    const byWorker = lab.seen
      .filter(({ event }) => event.type === 'SPAWN_START')
      .map(({ event }) => event.data as { worker_id: string; attempt: number });
    // A surplus that was kept would wait for a lease of 15 s and count as an attempt.
    assert.ok(byWorker.every(({ attempt }) => attempt === 1));
    assert.ok(byWorker.some(({ worker_id: id }) => id === second.worker.id));
  });

  it('never hold more tasks than there are slots', async () => {
    const { worker } = await lab.worker({ config: { KSI_CONCURRENCY: '3' } });
    const posted = await Promise.all(Array.from({ length: 12 }, () => lab.post('x [[sleep:30]]')));
    let most = 0;
    const stop = lab.broker.nc.subscribe('ksi.events.>', {
      callback: () => void (most = Math.max(most, worker.running)),
    });
    await Promise.all(posted.map(({ taskId }) => lab.outcome(taskId)));
    stop.unsubscribe();
    assert.equal(most, 3);
  });
});

describe('lanes of runs that wait for runs of their own', () => {
  it('come to an end with one slot, hold a bounded number of runs, and work at one at a time', async () => {
    const server = await startTestBroker();
    const log = pino({ level: 'silent' });
    const broker = await connectBroker({ url: server.url, name: 'test', log });
    await makeStreams(broker, readConfig({}));
    const ended = new EventEmitter().setMaxListeners(0);
    const publish = async (runPriority: RunPriority, depth: number): Promise<string> => {
      const id = uuidv4();
      const headers = depth === 0 ? {} : { [HEADER.depth]: String(depth) };
      await broker.publisher.publish({ subject: SUBJECT.run('default', runPriority, id), payload: '{}', headers });
      return id;
    };
    let [held, working, mostHeld, mostWorking, done] = [0, 0, 0, 0, 0];
    let allDone: () => void = () => undefined;
    const everything = new Promise<void>((resolve) => (allDone = resolve));
    const ROOTS = 3;
    const work = (change: number): void => void (mostWorking = Math.max(mostWorking, (working += change)));
    const slots = new Slots(1);
    const lanes = new RunPoller({
      refuse: async (delivery, ms) => delivery.nak(ms),
      broker,
      queues: ['default'],
      slots,
      log,
      run: async (delivery, slot) => {
        mostHeld = Math.max(mostHeld, (held += 1));
        work(1);
        const depth = Number(delivery.header(HEADER.depth) || 0);
        // Two each, as an agent may ask for several before it waits.
        const children = depth === MAX_DEPTH ? [] : await Promise.all([1, 2].map(() => publish('next', depth + 1)));
        const left = new Set(children);
        await new Promise<void>((resolve) => {
          if (left.size === 0) return resolve();
          work(-1);
          const back = slots.lend(slot);
          const onStart = (id: string): void => {
            if (!left.delete(id) || left.size > 0) return;
            ended.off('run', onStart);
            back();
            work(1);
            resolve();
          };
          ended.on('run', onStart);
        });
        await delivery.ack();
        held -= 1;
        work(-1);
        ended.emit('run', delivery.subject.split('.').at(-1));
        if (depth === 0 && ++done === ROOTS) allDone();
      },
    });
    try {
      // Some among the promoted ones, which must not take the room of what others wait for.
      for (let n = 0; n < ROOTS; n++) await publish(n % 2 === 0 ? 'normal' : 'next', 0);
      lanes.start();
      await everything;
      assert.ok(mostHeld <= maxHeldRuns(1), `${mostHeld} held`);
      // The one that goes on, and the one whose end let it.
      assert.ok(mostWorking <= 2, `${mostWorking} at work`);
    } finally {
      await lanes.stop();
      await broker.close();
      await server.stop();
    }
  });
});

describe('lanes before the topology is there', () => {
  it('wait for it', async () => {
    const server = await startTestBroker();
    const log = pino({ level: 'silent' });
    const broker = await connectBroker({ url: server.url, name: 'test', log });
    let taken: (() => void) | undefined;
    const gotOne = new Promise<void>((resolve) => (taken = resolve));
    const lanes = new RunPoller({
      refuse: async (delivery, ms) => delivery.nak(ms),
      broker,
      queues: ['default'],
      slots: new Slots(1),
      log,
      run: async (delivery) => {
        await delivery.ack();
        taken?.();
      },
    });
    try {
      lanes.start();
      await makeStreams(broker, readConfig({}));
      await broker.publisher.publish({ subject: 'ksi.commands.spawn.default.low.s', payload: '{}' });
      await gotOne;
    } finally {
      await lanes.stop();
      await broker.close();
      await server.stop();
    }
  });
});
