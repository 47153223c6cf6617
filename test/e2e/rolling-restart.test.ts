import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { request } from 'undici';
import { v4 as uuidv4 } from 'uuid';
import type { EventEnvelope, SpawnAccepted, Task } from '../../contracts/index.js';
import type { StoredEvent } from '../../contracts/events/events.js';
import { isEnded, statusOfEvent } from '../../contracts/tasks/states.js';
import { clusterStatus } from '../../src/cluster/status.js';
import { startCluster, type TestCluster } from '../fixtures/cluster.js';
import { CLAUDE_STANDIN } from '../fixtures/paths.js';
import { assertGapless } from '../fixtures/stored-events.js';

const APIS = 2;
/** Between two requests of the load. */
const PAUSE_MS = 250;
/** How often a restart is looked for: nothing outside of the cluster tells of it. */
const LOOK_MS = 100;

describe('a rolling restart of everything, under load', () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await startCluster({
      KSI_WORKERS: '2',
      KSI_APIS: String(APIS),
      KSI_CONCURRENCY: '2',
      KSI_LEASE_S: '10',
      KSI_DRAIN_S: '10',
      KSI_CLAUDE_BIN: CLAUDE_STANDIN,
    });
  });
  after(() => cluster.stop());

  const apiUrl = (n: number): string => cluster.url.replace(/\d+$/, (port) => String(Number(port) + (n % APIS)));
  const headers = (): Record<string, string> => ({ authorization: `Bearer ${cluster.token}` });
  const get = async <T>(path: string, api = 0): Promise<T> => {
    const answer = await request(`${apiUrl(api)}${path}`, { headers: headers() });
    assert.equal(answer.statusCode, 200);
    return (await answer.body.json()) as T;
  };

  /** Posts a task as a client does that must not lose it: with a key, to whichever API takes it. */
  async function post(n: number): Promise<SpawnAccepted> {
    const key = uuidv4();
    const body = JSON.stringify({
      prompt: `${n} [[sleep:150]] [[messages:2]]`,
      max_attempts: 1,
      // Some sessions are busy.
      ...(n % 4 === 0 ? { session_id: `busy-${n % 3}` } : {}),
    });
    for (let tries = 0; ; tries++) {
      try {
        const answer = await request(`${apiUrl(n + tries)}/spawn`, {
          method: 'POST',
          headers: { ...headers(), 'content-type': 'application/json', 'idempotency-key': key },
          body,
        });
        const text = await answer.body.text();
        if (answer.statusCode === 202) return JSON.parse(text) as SpawnAccepted;
        assert.equal(answer.statusCode, 503, text);
      } catch (error) {
        // Nobody listens there, or it went away before its answer.
        if (error instanceof assert.AssertionError) throw error;
      }
      await sleep(LOOK_MS);
    }
  }

  const isReady = async (url: string): Promise<boolean> => {
    try {
      const answer = await request(`${url}/readyz`);
      await answer.body.dump();
      return answer.statusCode === 200;
    } catch {
      return false;
    }
  };

  async function restart(name: string): Promise<void> {
    const find = async () => (await clusterStatus(cluster.dir))?.processes.find((process) => process.name === name);
    const old = await find();
    assert.ok(old?.pid !== undefined);
    process.kill(old.pid, 'SIGTERM');
    for (;;) {
      const now = await find();
      if (now?.state === 'running' && now.pid !== old.pid) break;
      await sleep(LOOK_MS);
    }
    for (let api = 0; api < APIS; api++) while (!(await isReady(apiUrl(api)))) await sleep(LOOK_MS);
  }

  async function finished(id: string): Promise<{ task: Task; events: EventEnvelope[] }> {
    const stream = await request(`${cluster.url}/tasks/${id}/events`, {
      headers: { ...headers(), accept: 'text/event-stream' },
    });
    await stream.body.dump();
    const { items: events } = await get<{ items: EventEnvelope[] }>(`/tasks/${id}/events`);
    return { task: await get<Task>(`/tasks/${id}`, 1), events };
  }

  it('loses nothing, fails no task, and counts no attempt', async () => {
    const posted: Promise<SpawnAccepted>[] = [];
    const stop = new AbortController();
    const load = (async () => {
      for (let n = 0; !stop.signal.aborted; n++) {
        posted.push(post(n));
        await sleep(PAUSE_MS);
      }
    })();
    const names = (await clusterStatus(cluster.dir))?.processes.map(({ name }) => name) ?? [];
    assert.equal(names.length, 1 + APIS + 2, names.join());
    // Workers, then APIs, then the broker.
    for (const name of names.toReversed()) await restart(name);
    stop.abort();
    await load;

    const accepted = await Promise.all(posted);
    assert.ok(accepted.length > 10);
    assert.equal(new Set(accepted.map(({ task_id: id }) => id)).size, posted.length);
    for (const { task, events } of await Promise.all(accepted.map(({ task_id: id }) => finished(id)))) {
      assert.equal(task.status, 'completed', JSON.stringify(task));
      assertGapless(events as unknown as StoredEvent[]);
      const ends = events.filter(({ type }) => {
        const status = statusOfEvent(type);
        return status !== undefined && isEnded(status);
      });
      assert.equal(ends.length, 1);
      for (const { type, data } of events) if (type === 'SPAWN_RETRY') assert.equal(data['counted'], false);
    }
  });
});
