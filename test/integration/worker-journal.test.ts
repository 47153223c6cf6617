import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, open, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { v4 as uuidv4 } from 'uuid';
import type { EventData, EventType, StoredEvent } from '../../contracts/events/events.js';
import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { TASK_STATES } from '../../contracts/tasks/states.js';
import { eventPublication, newEvent } from '../../src/broker/events.js';
import { lastBySubject } from '../../src/broker/read.js';
import type { OutboxItem } from '../../workers/journal/outbox.js';
import { learnLastPrices } from '../../workers/claude/last-prices.js';
import { ModelPrices } from '../../workers/claude/model-prices.js';
import { NO_TOKENS } from '../../workers/claude/tokens.js';
import { workerMarker } from '../../workers/claude/contained-launcher.js';
import { processesTagged } from '../../src/process/tagged-processes.js';
import { Journal } from '../../workers/journal/journal.js';
import { dataOf, WorkerLab } from '../fixtures/worker.js';
import { workerProcess } from '../fixtures/worker-process.js';
import { systemClock } from '../../src/clock.js';

/** So long that nothing here can come from a lease that has run out. */
const LEASE_S = '120';

let lab: WorkerLab;
beforeEach(async () => {
  lab = await WorkerLab.start({ KSI_LEASE_S: LEASE_S });
});
afterEach(() => lab.stop());

const types = (taskId: string): string[] => lab.of(taskId).map(({ type }) => type);

describe('a worker that starts where another was killed', () => {
  it('gives its tasks back within 2 s, and ends what is left of its processes', async () => {
    const first = workerProcess(lab, { KSI_LEASE_S: LEASE_S });
    const { taskId } = await lab.post('x [[ignore-sigterm]] [[messages:3]] [[sleep:2000]]');
    const start = await lab.event('SPAWN_START', taskId);
    await lab.event('SPAWN_MESSAGE', taskId, ({ message }) => (message as { type?: string }).type === 'assistant');
    first.kill('SIGKILL');
    await once(first, 'exit');
    const since = performance.now();
    const { worker } = await lab.worker();
    const again = await lab.event('SPAWN_START', taskId, ({ attempt }) => attempt === 2);
    assert.ok(performance.now() - since < 2_000);
    assert.equal(again.data.worker_id, worker.id);
    assert.deepEqual(processesTagged(workerMarker(start.data.worker_id)), []);
    const { reason, usage } = (await lab.event('SPAWN_RETRY', taskId)).data;
    assert.equal(reason, 'worker_lost');
    assert.ok((usage?.input_tokens ?? 0) > 0 && usage?.estimated === true, 'what its stream had reported counts');
    assert.equal((await lab.outcome(taskId)).type, 'SPAWN_COMPLETE');
    assert.deepEqual(await readdir(join(lab.dir, 'workers')), [worker.id]);
  });

  it('leaves alone what a living worker of the same host holds', async () => {
    workerProcess(lab, { KSI_LEASE_S: LEASE_S });
    const { taskId } = await lab.post('x [[sleep:1500]]');
    await lab.event('SPAWN_START', taskId);
    await lab.worker();
    assert.equal(dataOf('SPAWN_COMPLETE', await lab.outcome(taskId)).attempt, 1);
  });
});

describe('the journal of a dead worker', () => {
  const folder = (): string => join(lab.dir, 'workers', 'w_dead');

  /** A task whose run is held by a worker of this host that is dead, and what that had not delivered. */
  async function dead(): Promise<{
    taskId: string;
    sessionId: string;
    put: (type: EventType, subject: string, data: object) => Promise<StoredEvent>;
    item: (type: EventType, subject: string, data: object) => OutboxItem;
    journal: (...items: OutboxItem[]) => Promise<void>;
  }> {
    const { taskId, sessionId } = await lab.post('x');
    await lab.event('SPAWN_QUEUED', taskId);
    const reply = await pulled();
    const identity = { task_id: taskId, session_id: sessionId, owner: 'local' };
    let seq = (await lastBySubject(lab.broker, STREAM.events, SUBJECT.taskStates(taskId)))?.seq ?? 0;
    const item = (type: EventType, subject: string, data: object): OutboxItem => {
      const event = newEvent(systemClock, type, { ...identity, ...data } as EventData<EventType>);
      const publication = eventPublication(event, subject, { filter: SUBJECT.taskStates(taskId), seq });
      return { event, publication, bytes: publication.payload.length };
    };
    const put = async (type: EventType, subject: string, data: object): Promise<StoredEvent> => {
      const { event, publication } = item(type, subject, data);
      const ack = await lab.broker.publisher.publish(publication);
      if (type === 'SPAWN_START') ({ seq } = ack);
      return event;
    };
    const run = { seq: 1, delivery: 1 };
    const started = { attempt: 1, n: 1, worker_id: 'w_dead', host: 'h', transcript_seq: 0, run };
    const { id: startId } = await put('SPAWN_START', SUBJECT.taskState(taskId, TASK_STATES.running.token), started);
    const journal = async (...items: OutboxItem[]): Promise<void> => {
      await mkdir(folder(), { recursive: true });
      await writeFile(join(folder(), 'owner.json'), JSON.stringify({ host: hostname(), pid: 1, started: 'earlier' }));
      const written = new Journal(folder());
      await written.hold({ identity, attempt: 1, startId, startSeq: seq, reply });
      await Promise.all(items.map((entry, n) => written.add(startId, n, entry)));
      await written.close();
    };
    return { taskId, sessionId, put, item, journal };
  }

  /** Takes the one run as a worker does. @returns its reply subject. */
  async function pulled(): Promise<string> {
    const consumer = await lab.broker.js.consumers.get(STREAM.commands, 'run-default-normal');
    const message = await consumer.next({ expires: 5_000 });
    assert.ok(message !== null);
    return (message as unknown as { msg: { reply: string } }).msg.reply;
  }

  const message = (taskId: string, n: number): [EventType, string, object] => [
    'SPAWN_MESSAGE',
    SUBJECT.taskOutput(taskId),
    { attempt: 1, n, message: { type: 'm', n } },
  ];
  const complete = (taskId: string, n: number): [EventType, string, object] => [
    'SPAWN_COMPLETE',
    SUBJECT.taskState(taskId, TASK_STATES.completed.token),
    { attempt: 1, n, output: { result: 'done' } },
  ];

  it('counts what the lost attempt had reported last; a new worker knows the prices of the last task that completed', async () => {
    const cost = {
      inputTokens: 100,
      outputTokens: 0,
      cacheReadInputTokens: 0,
      cacheCreationInputTokens: 0,
      costUSD: 1,
    };
    const complete = { task_id: uuidv4(), session_id: uuidv4(), owner: 'local', attempt: 1, n: 2 };
    const ended = newEvent(systemClock, 'SPAWN_COMPLETE', { ...complete, output: { modelUsage: { m: cost } } });
    const subject = SUBJECT.taskState(complete.task_id, TASK_STATES.completed.token);
    await lab.broker.publisher.publish(eventPublication(ended, subject));
    const { taskId, put, journal } = await dead();
    const sums = { cost_usd: 0.5, cache_read_tokens: 0, cache_write_tokens: 0, turns: 0 };
    for (const n of [2, 3]) {
      const usage = { ...sums, input_tokens: 50, output_tokens: 10 * n };
      await put('SPAWN_MESSAGE', SUBJECT.taskOutput(taskId), { attempt: 1, n, message: { type: 'm' }, usage });
    }
    await journal();
    await lab.worker();
    const { usage } = (await lab.event('SPAWN_RETRY', taskId)).data;
    assert.deepEqual(usage, { ...sums, input_tokens: 50, output_tokens: 30, estimated: true });
    const prices = new ModelPrices();
    await learnLastPrices(lab.broker, prices);
    assert.equal(prices.costOf('m', { ...NO_TOKENS, input_tokens: 50 }), 0.5);
  });

  const damages: Record<string, (path: string, bytes: number) => Promise<void>> = {
    'is another file': (path) => writeFile(path, 'text '.repeat(10_000)),
    'was overwritten': async (path, bytes) => {
      const file = await open(path, 'r+');
      await file.write(Buffer.alloc(bytes - 8_192, 0xa5), 0, bytes - 8_192, 8_192);
      await file.close();
    },
  };
  for (const [what, damage] of Object.entries(damages))
    it(`is kept when it ${what}, and workers go on`, async () => {
      const { taskId, item, journal } = await dead();
      await journal(item(...message(taskId, 2)), item(...complete(taskId, 3)));
      const path = join(folder(), 'journal.mdb');
      await damage(path, (await stat(path)).size);
      const damaged = await readFile(path);
      const first = workerProcess(lab, { KSI_LEASE_S: LEASE_S });
      const after = await lab.post('after it');
      const crashed = once(first, 'exit').then(() => true);
      // The damage may end the first one, as it would under the supervisor.
      if (await Promise.race([crashed, lab.outcome(after.taskId).then(() => false)]))
        workerProcess(lab, { KSI_LEASE_S: LEASE_S });
      await lab.outcome(after.taskId);
      const kept = (await readdir(join(lab.dir, 'workers'))).filter((name) =>
        name.startsWith('journal-w_dead.mdb.damaged-'),
      );
      assert.equal(kept.length, 1);
      assert.deepEqual(await readFile(join(lab.dir, 'workers', kept[0] ?? '')), damaged);
    });

  it('still delivers an outcome: the task does not run again, and its session goes on', async () => {
    const { taskId, sessionId, item, journal } = await dead();
    await journal(item(...message(taskId, 2)), item(...complete(taskId, 3)));
    const behind = await lab.post('behind', { sessionId });
    await lab.worker();
    await lab.outcome(behind.taskId);
    assert.deepEqual(types(taskId), ['SPAWN_QUEUED', 'SPAWN_START', 'SPAWN_MESSAGE', 'SPAWN_COMPLETE']);
  });

  it('repeats nothing that was delivered', async () => {
    const { taskId, item, journal } = await dead();
    const [first, second] = [item(...message(taskId, 2)), item(...message(taskId, 3))];
    await lab.broker.publisher.publish(first.publication);
    await journal(first, second);
    await lab.worker();
    await lab.outcome(taskId);
    const ns = lab
      .of(taskId)
      .filter(({ type, data }) => type === 'SPAWN_MESSAGE' && (data as { attempt: number }).attempt === 1)
      .map(({ data }) => (data as { n: number }).n);
    assert.deepEqual(ns, [2, 3]);
  });

  it('changes nothing once the task is the task of another', async () => {
    const { taskId, item, journal, put } = await dead();
    await journal(item(...message(taskId, 2)), item(...complete(taskId, 3)));
    const run = { seq: 1, delivery: 2 };
    const other = { attempt: 2, n: 1, worker_id: 'w_other', host: 'h', transcript_seq: 0, run };
    const { id } = await put('SPAWN_START', SUBJECT.taskState(taskId, TASK_STATES.running.token), other);
    await lab.worker();
    const after = await lab.post('x');
    await lab.outcome(after.taskId);
    assert.equal(lab.of(taskId).at(-1)?.id, id);
    // Nor was its run given back, which would be another delivery of it.
    assert.ok(!lab.ends.includes('lost') && lab.of(taskId).length === 3);
  });
});
