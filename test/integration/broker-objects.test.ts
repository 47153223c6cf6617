import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { pino } from 'pino';
import type { SpawnAccepted } from '../../contracts/tasks/spawn.js';
import { BUCKET, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { consumerSpecs, streamSpecs } from '../../contracts/broker/topology.js';
import { consumerNames } from '../../src/broker/topology.js';
import { eventPublication, newEvent } from '../../src/broker/events.js';
import { streamInfo } from '../../src/broker/read.js';
import { sleep, systemClock } from '../../src/clock.js';
import { ApiLab, type Answer } from '../fixtures/api.js';
import { startTestBroker } from '../fixtures/broker.js';
import { WorkerLab } from '../fixtures/worker.js';

/** Nothing tells a client that an object is there again. */
const ASK_EVERY_MS = 50;

describe("objects of the broker's that disappear under a running API and worker", () => {
  let api: ApiLab;
  let workers: WorkerLab;
  const lines: Record<string, unknown>[] = [];
  before(async () => {
    const server = await startTestBroker({ sync: '1s' });
    const log = pino({ level: 'warn' }, { write: (line) => lines.push(JSON.parse(line) as Record<string, unknown>) });
    api = await ApiLab.start({ KSI_NATS_AGENTS: 'alice', KSI_QUEUES: 'default,unserved' }, server, log);
    workers = await WorkerLab.start({}, server);
    await workers.worker();
  });
  after(async () => {
    await workers.stop();
    await api.stop();
  });

  const until = async (holds: () => Promise<boolean>): Promise<void> => {
    while (!(await holds().catch(() => false))) await sleep(systemClock, ASK_EVERY_MS);
  };
  const isThere = async (stream: string): Promise<boolean> => (await streamInfo(api.broker, stream)) !== undefined;
  const remove = async (...streams: string[]): Promise<void> => {
    for (const stream of streams) await api.broker.jsm.streams.delete(stream);
  };
  const areBack = async (...streams: string[]): Promise<void> => {
    for (const stream of streams) await until(() => isThere(stream));
    await until(async () => (await api.request('/readyz')).status === 200);
  };
  const saysLost = (stream: string): boolean =>
    lines.some(({ stream: of, level, msg }) => of === stream && level === 50 && String(msg).includes('is lost'));
  /** What `/readyz` says while it is not ready. */
  const whyNot = async (): Promise<string> => {
    let answer: Answer | undefined;
    await until(async () => (answer = await api.request('/readyz')).status === 503);
    return String(answer?.body['reason']);
  };
  const aTaskRuns = async (body: object = {}, headers: Record<string, string> = {}): Promise<string> => {
    const answer = await api.request('/spawn?wait=60', {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ prompt: 'x', ...body }),
    });
    assert.deepEqual([answer.status, answer.body['status']], [200, 'completed'], JSON.stringify(answer.body));
    return String(answer.body['task_id']);
  };

  /** As if a worker had begun the task and died. */
  const startsAtNoWorker = async ({ task_id: id, session_id: session }: SpawnAccepted): Promise<void> => {
    const start = newEvent(systemClock, 'SPAWN_START', {
      task_id: id,
      session_id: session,
      owner: 'local',
      attempt: 1,
      n: 1,
      transcript_seq: 0,
      worker_id: 'w_gone',
      process: 'worker-9',
      host: 'test',
      run: { seq: 1, delivery: 1 },
    });
    await api.broker.publisher.publish(eventPublication(start, SUBJECT.taskState(id, 'start')));
  };

  it('consumers are made again', async () => {
    const specs = consumerSpecs({ ...workers.config, KSI_NATS_AGENTS: 'alice' });
    for (const { stream, consumer } of specs)
      assert.ok(await api.broker.jsm.consumers.delete(stream, consumer.durable_name));
    for (const { stream, consumer } of specs)
      await until(async () => (await consumerNames(api.broker, stream)).has(consumer.durable_name));
    await aTaskRuns();
  });

  it('buckets are made again, and their loss is logged as an error', async () => {
    const buckets = streamSpecs(workers.config)
      .map(({ name }) => name)
      .filter((name) => /^(KV|OBJ)_/.test(name));
    await remove(...buckets);
    await areBack(...buckets);
    for (const bucket of buckets) assert.ok(saysLost(bucket), bucket);
    await aTaskRuns({ session_id: 'named' }, { 'idempotency-key': 'a-key' });
    assert.equal((await api.request('/queues')).status, 200);
  });

  it('KSI_COMMANDS: spawns are refused until it is made anew, what runs goes on, and lost tasks are cancelled', async () => {
    const running = await api.spawn({ prompt: 'x [[sleep:3000]]', session_id: 'busy' });
    const waiting = await api.spawn({ prompt: 'x', session_id: 'busy' });
    const queued = await api.spawn({ prompt: 'x', queue: 'unserved' });
    const orphan = await api.spawn({ prompt: 'x', queue: 'unserved' });
    await startsAtNoWorker(orphan);
    for (const { task_id: id } of [running, orphan]) await until(async () => (await api.task(id)).status === 'running');
    const { last_seq: last } = (await api.broker.jsm.streams.info(STREAM.commands)).state;
    await remove(STREAM.commands);
    assert.match(await whyNot(), /KSI_COMMANDS is lost/);
    const refused = await api.post({ prompt: 'x' });
    assert.deepEqual([refused.status, refused.body['code']], [503, 'broker_unavailable']);
    await areBack(STREAM.commands);
    assert.ok(saysLost(STREAM.commands));
    // What runs acknowledges its run of the lost stream. That must not meet another run.
    assert.ok((await api.broker.jsm.streams.info(STREAM.commands)).state.first_seq > last);
    await aTaskRuns();
    for (const { task_id: id } of [waiting, queued, orphan]) {
      await until(async () => (await api.task(id)).ended_at !== undefined);
      const { status, reason } = await api.task(id);
      assert.deepEqual([status, reason], ['cancelled', 'command_lost']);
    }
    await until(async () => (await api.task(running.task_id)).ended_at !== undefined);
    assert.equal((await api.task(running.task_id)).status, 'completed');
    await aTaskRuns({ session_id: 'busy' });
  });

  it('KSI_EVENTS without room: spawns are refused, and what runs ends when there is room', async () => {
    const { streams } = api.broker.jsm;
    const running = await api.spawn({ prompt: 'x [[sleep:500]]' });
    await until(async () => (await api.task(running.task_id)).status === 'running');
    const { config, state } = await streams.info(STREAM.events);
    await streams.update(STREAM.events, { max_bytes: state.bytes });
    assert.match(await whyNot(), /KSI_EVENTS is full/);
    const refused = await api.post({ prompt: 'x' });
    assert.deepEqual([refused.status, refused.body['code']], [429, 'queue_full']);
    assert.match(String(refused.body['detail']), /KSI_EVENTS is full/);
    assert.ok(Number(refused.headers.get('retry-after')) > 0);
    assert.equal((await api.task(running.task_id)).status, 'running');
    await streams.update(STREAM.events, { max_bytes: config.max_bytes });
    await areBack();
    await until(async () => (await api.task(running.task_id)).status === 'completed');
    await aTaskRuns();
  });

  it('a bucket without room for the records of some tasks: not ready, and other tasks are accepted', async () => {
    const bucket = `KV_${BUCKET.idempotency}`;
    const { streams } = api.broker.jsm;
    await aTaskRuns({}, { 'idempotency-key': 'first' });
    const { config, state } = await streams.info(bucket);
    await streams.update(bucket, { max_bytes: state.bytes });
    assert.match(await whyNot(), /KV_ksi_idempotency is full/);
    await aTaskRuns();
    const refused = await api.request('/spawn', {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': 'second' },
      body: JSON.stringify({ prompt: 'x' }),
    });
    assert.deepEqual([refused.status, refused.body['code']], [429, 'queue_full']);
    await streams.update(bucket, { max_bytes: config.max_bytes });
    await areBack();
  });

  it('KSI_EVENTS: old cursors are gone, the read model is rebuilt, and streams that take from it go on', async () => {
    const { since } = await api.spawn();
    const old = await aTaskRuns();
    await remove(STREAM.events);
    assert.match(await whyNot(), /KSI_EVENTS is lost/);
    await areBack(STREAM.events);
    assert.ok(saysLost(STREAM.events));
    await assert.rejects(api.connect(`?since=${since}`).opened);
    assert.equal((await api.request(`/tasks/${old}`)).status, 404);
    const task = await aTaskRuns();
    assert.equal((await api.request(`/tasks/${task}/events?cursor=${since}`)).body['code'], 'cursor_gone');
    await until(async () => {
      const info = await api.broker.jsm.streams.info(STREAM.outcomes, { subjects_filter: `ksi.outcomes.${task}.>` });
      return Object.keys(info.state.subjects ?? {}).length === 1;
    });
  });

  it('the other streams', async () => {
    const tested: string[] = [STREAM.commands, STREAM.events];
    const others = Object.values(STREAM).filter((stream) => !tested.includes(stream));
    await remove(...others);
    await areBack(...others);
    for (const stream of others) assert.ok(saysLost(stream), stream);
    await aTaskRuns({ session_id: 'named' });
  });

  it('the whole store, while the broker is away', async () => {
    await workers.server.wipe();
    await until(async () => lines.some(({ stream }) => stream === `KV_${BUCKET.tokens}`));
    await areBack(...streamSpecs(workers.config).map(({ name }) => name));
    await aTaskRuns({ session_id: 'named' }, { 'idempotency-key': 'a-key' });
  });

  it('a stream that was lost while no API ran is reported when one starts', async () => {
    await api.stopApi();
    await remove(STREAM.events);
    lines.length = 0;
    await api.startApi();
    assert.ok(saysLost(STREAM.events));
    await areBack(STREAM.events);
    await aTaskRuns();
  });
});
