import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
import type { StoredEvent } from '../../contracts/events/events.js';
import { isEnded, statusOfEvent } from '../../contracts/tasks/states.js';
import { readConfig } from '../../src/config/load.js';
import { readStream } from '../../src/broker/replay.js';
import { startApiOn } from '../fixtures/api-on.js';
import { ApiLab, type Answer } from '../fixtures/api.js';
import type { TestBroker } from '../fixtures/broker.js';
import { startTestCluster, type TestBrokerCluster } from '../fixtures/broker-cluster.js';
import { CLAUDE_STANDIN } from '../fixtures/paths.js';
import { WorkerLab } from '../fixtures/worker.js';
import { makeStreams } from '../fixtures/connection.js';

const MAIN = join(dirname(fileURLToPath(import.meta.url)), '../../workers/main.js');
/** Requests must be answered within 2 s; the test's own limit leaves room for a busy machine. */
const ANSWERED_MS = 5_000;
/** Elections took 4 to 8 s; the rest is for a busy machine. */
const ELECTION_MS = 30_000;
const LEASE_S = 4;
/** A third of it is longer than any election: so nothing that runs loses its lease in one. */
const PATIENT = { KSI_NATS_SERVERS: '3', KSI_LEASE_S: '60' };

describe('tasks, in a cluster of three', () => {
  let cluster: TestBrokerCluster;
  let api: ApiLab;
  let lab: WorkerLab;
  before(async () => {
    cluster = await startTestCluster();
    api = await ApiLab.start(PATIENT, cluster);
    lab = await WorkerLab.start(PATIENT, cluster);
  });
  after(async () => {
    await lab.stop();
    await api.stop();
  });

  /** What is stored of each task, in order. */
  async function eventsByTask(): Promise<Map<string, StoredEvent[]>> {
    const events = new Map<string, StoredEvent[]>();
    for await (const { data } of readStream(
      api.broker,
      STREAM.events,
      SUBJECT.taskAll('*'),
      0,
      Number.MAX_SAFE_INTEGER,
    )) {
      const event = JSON.parse(new TextDecoder().decode(data)) as StoredEvent;
      const { task_id: id = '' } = event.data as { task_id?: string };
      events.set(id, [...(events.get(id) ?? []), event]);
    }
    return events;
  }

  it('that were accepted are done once, while the leader of the queue is killed, and the refused ones never', async () => {
    const workers = [await lab.worker(), await lab.worker()];
    const client = api.connect('?since=0');
    await client.opened;
    const accepted: string[] = [];
    const refused: Answer[] = [];
    let slowest = 0;
    const asking = new AbortController();
    const ask = async (session?: string): Promise<void> => {
      while (!asking.signal.aborted) {
        const begun = performance.now();
        const answer = await api.post({
          prompt: 'x [[messages:2]] [[sleep:30]]',
          ...(session && { session_id: session }),
        });
        slowest = Math.max(slowest, performance.now() - begun);
        if (answer.status === 202) accepted.push(String(answer.body['task_id']));
        else refused.push(answer);
        await sleep(answer.status === 202 ? 40 : 200);
      }
    };
    const clients = [ask(), ask('busy'), ask('busier')];
    await client.until(({ type }) => type === 'SPAWN_COMPLETE');
    const long = await api.spawn({ prompt: 'x [[messages:2]] [[sleep:6000]] [[messages:2]]' });
    accepted.push(long.task_id);
    await client.until(({ type, data }) => type === 'SPAWN_MESSAGE' && data['task_id'] === long.task_id);
    const leader = await cluster.leaderOf(STREAM.commands);
    await cluster.servers[leader]?.kill();
    const before = accepted.length;
    while (accepted.length < before + 6) await sleep(50);
    await cluster.servers[leader]?.restart();
    asking.abort();
    await Promise.all(clients);

    const open = new Set(accepted);
    await client.until(({ type, data }) => {
      const status = statusOfEvent(type);
      if (status !== undefined && isEnded(status)) open.delete(String(data['task_id']));
      return open.size === 0;
    });
    for (const { status, body, headers } of refused) {
      assert.deepEqual([status, body['code']], [503, 'broker_unavailable'], JSON.stringify(body));
      assert.ok(Number(headers.get('retry-after')) > 0);
    }
    assert.ok(slowest < ANSWERED_MS, `an answer took ${Math.round(slowest)} ms`);
    const events = await eventsByTask();
    const known = new Set(accepted);
    for (const [id, all] of events) {
      const outcomes = all.filter(({ type }) => isEnded(statusOfEvent(type) ?? 'queued')).map(({ type }) => type);
      if (known.has(id)) {
        assert.deepEqual(outcomes, ['SPAWN_COMPLETE'], id);
        const starts = all.filter(({ type }) => type === 'SPAWN_START');
        assert.equal(starts.length, 1, 'what runs goes on through the election');
        const counted = all.map(({ data }) => (data as { n?: number }).n).filter((n) => n !== undefined);
        assert.deepEqual(
          counted,
          Array.from(counted, (_, index) => index + 1),
        );
      }
      // Nobody was told of these: cancelled, or not settled yet, but not run.
      else assert.ok(!all.some(({ type }) => type === 'SPAWN_START'), `${id}: ${all.map(({ type }) => type).join()}`);
    }
    assert.deepEqual(
      client.seqs,
      Array.from(client.seqs, (_, index) => index + 1),
    );
    client.socket.terminate();
    await Promise.all(workers.map(({ worker }) => worker.stop()));
    await cluster.healthy();
  });

  it('of a worker that dies together with the leader of the queue run elsewhere, within a lease and an election', async () => {
    await makeStreams(api.broker, readConfig({ ...PATIENT, KSI_LEASE_S: String(LEASE_S) }));
    const child = spawn(process.execPath, [MAIN], {
      stdio: ['pipe', 'ignore', 'ignore'],
      env: {
        ...process.env,
        KSI_DIR: lab.dir,
        KSI_NATS_URL: cluster.url,
        KSI_CLAUDE_BIN: CLAUDE_STANDIN,
        KSI_LEASE_S: String(LEASE_S),
      },
    });
    const exited = once(child, 'exit');
    lab.onStop(async () => {
      child.kill('SIGKILL');
      await exited;
    });
    const client = api.connect();
    await client.opened;
    const { task_id: taken } = await api.spawn({ prompt: 'x [[messages:1]] [[sleep:2500]]' });
    await client.until(({ type, data }) => type === 'SPAWN_MESSAGE' && data['task_id'] === taken);
    await lab.worker({ config: { KSI_LEASE_S: String(LEASE_S) } });
    const leader = await cluster.leaderOf(STREAM.commands);
    const killedAt = performance.now();
    child.kill('SIGKILL');
    await cluster.servers[leader]?.kill();
    await client.until(
      ({ type, data }) => type === 'SPAWN_START' && data['task_id'] === taken && data['attempt'] === 2,
    );
    assert.ok(performance.now() - killedAt < LEASE_S * 1_000 + ELECTION_MS);
    await client.until(({ type, data }) => type === 'SPAWN_COMPLETE' && data['task_id'] === taken);
    client.socket.terminate();
    await cluster.servers[leader]?.restart();
  });

  it('do not wait for a stream that is not essential and has no leader; without a leader of KSI_EVENTS the API is not ready, and they wait', async () => {
    await cluster.healthy();
    await lab.worker();
    const { streams } = api.broker.jsm;
    /** Leaves the stream two copies and ends the server that has the second one: the first is no majority. */
    const depose = async (stream: string): Promise<TestBroker | undefined> => {
      await streams.update(stream, { num_replicas: 2 });
      let replicas: readonly string[] = [];
      while (replicas.length !== 1)
        replicas = (await streams.info(stream)).cluster?.replicas?.map(({ name }) => name) ?? [];
      const server = cluster.servers[Number(replicas[0]?.slice(1))];
      await server?.kill();
      return server;
    };
    /** One look may also fail because the connection moves to another server. */
    const isLed = async (stream: string): Promise<boolean> => {
      for (let look = 0; look < 3; look++) {
        const { cluster: { leader = '' } = {} } = await streams.info(stream).catch(() => ({ cluster: undefined }));
        if (leader !== '') return true;
        await sleep(200);
      }
      return false;
    };
    const ready = async (): Promise<Answer> => api.request('/readyz');
    const until = async (holds: () => Promise<boolean>): Promise<void> => {
      while (!(await holds())) await sleep(100);
    };

    const first = await depose(STREAM.ended);
    await until(async () => !(await isLed(STREAM.ended)) && (await ready()).status === 200);
    // The server that was ended may have led KSI_COMMANDS too.
    let done: Answer;
    do done = await api.post({ prompt: 'x' }, '?wait=60');
    while (done.status === 503);
    assert.deepEqual([done.status, done.body['status']], [200, 'completed']);
    assert.ok(!(await isLed(STREAM.ended)));
    const restarted = await startApiOn(cluster.url, PATIENT);
    assert.equal((await restarted.call('GET', '/readyz')).status, 200);
    await restarted.stop();
    assert.ok(!(await isLed(STREAM.ended)));
    await first?.restart();
    await cluster.healthy();

    const second = await depose(STREAM.events);
    await until(async () => !(await isLed(STREAM.events)));
    await until(async () => /KSI_EVENTS/.test(String((await ready()).body['reason'])));
    // A command is accepted by KSI_COMMANDS alone, which may be choosing another leader now.
    let accepted: Answer;
    do accepted = await api.post({ prompt: 'x' });
    while (accepted.status === 503);
    assert.equal(accepted.status, 202, JSON.stringify(accepted.body));
    assert.equal((await ready()).status, 503);
    await second?.restart();
    await until(async () => (await ready()).status === 200);
    await until(async () => (await api.task(String(accepted.body['task_id']))).status === 'completed');
  });
});
