import { Pool } from 'undici';
import { WebSocket } from 'ws';
import type { ServerFrame } from '../../../contracts/api/ws.js';
import { startCluster, type TestCluster } from '../../fixtures/cluster.js';
import { CLAUDE_STANDIN } from '../../fixtures/paths.js';
import type { BenchOptions } from '../options.js';
import type { Result } from '../result.js';

interface Status {
  processes: { name: string; memory_bytes?: number }[];
}

const AT_ONCE = 64;
/** Agents that messages go between in the first figure: one connection may read the inboxes of all. */
const TALKERS = 32;
const QUIET = { KSI_LOG_LEVEL: 'warn' };

/** Messages between agents a second, what registered agents cost, and how many can converse at once on stand-in executables. */
export async function agents(options: BenchOptions): Promise<Result[]> {
  return [...(await messages(options)), ...(await registered(options)), ...(await conversing(options))];
}

/** From agent to agent: sent over HTTP, pushed over WebSocket, acknowledged. */
async function messages({ seconds }: BenchOptions): Promise<Result[]> {
  const cluster = await startCluster({ ...QUIET, KSI_WORKERS: '0' });
  const pool = new Pool(cluster.url, { connections: AT_ONCE, pipelining: 1 });
  try {
    const ids = Array.from({ length: TALKERS }, (_, n) => `talker-${n}`);
    for (const id of ids) await post(pool, cluster, '/agents/register', { agent_id: id });
    const reader = await readerOf(cluster, ids);
    const begun = performance.now();
    const end = begun + seconds * 1_000;
    let sent = 0;
    const sender = async (_: unknown, n: number): Promise<void> => {
      while (performance.now() < end) {
        const [from, to] = [ids[n % TALKERS], ids[(n + 1 + (sent++ % (TALKERS - 1))) % TALKERS]];
        await post(pool, cluster, '/messages', { from, to, content: 'x'.repeat(200) });
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, sender));
    const accepted = performance.now() - begun;
    await reader.received(sent);
    const received = performance.now() - begun;
    reader.close();
    return [
      { name: `messages between agents, ${AT_ONCE} senders: accepted`, unit: '1/s', ksi: (sent * 1_000) / accepted },
      { name: 'messages between agents: received and acknowledged', unit: '1/s', ksi: (sent * 1_000) / received },
    ];
  } finally {
    await pool.close();
    await cluster.stop();
  }
}

/** Reads the inboxes of all over one connection, and acknowledges now and then. */
async function readerOf(
  { url, token }: TestCluster,
  ids: readonly string[],
): Promise<{ received(count: number): Promise<void>; close(): void }> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/events?subject=ksi.live.none`, {
    headers: { authorization: `Bearer ${token}` },
  });
  let seen = 0;
  let attached = 0;
  const waiters = new Set<() => void>();
  const last = new Map<string, number>();
  const acknowledge = (): void => {
    for (const [id, seq] of last) socket.send(JSON.stringify({ op: 'ack', id, seq }));
    last.clear();
  };
  const acknowledging = setInterval(acknowledge, 20);
  socket.on('message', (data: Buffer) => {
    const frame = JSON.parse(data.toString('utf8')) as ServerFrame;
    if (frame.op === 'attached') attached += 1;
    if (frame.op === 'error') throw new Error(frame.message);
    if (frame.op === 'message') {
      seen += 1;
      last.set(frame.id, frame.message.seq);
    }
    for (const waiter of waiters) waiter();
  });
  const until = async (reached: () => boolean): Promise<void> => {
    while (!reached())
      await new Promise<void>((resolve) => {
        const waiter = (): void => {
          waiters.delete(waiter);
          resolve();
        };
        waiters.add(waiter);
      });
  };
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  for (const id of ids) socket.send(JSON.stringify({ op: 'attach', id, agent_id: id }));
  await until(() => attached === ids.length);
  return {
    received: (count) => until(() => seen >= count),
    close: () => {
      clearInterval(acknowledging);
      socket.terminate();
    },
  };
}

/** Memory of the API and the broker for each agent that is registered and idle, and how long a page of them takes. */
async function registered({ registeredAgents: count }: BenchOptions): Promise<Result[]> {
  const cluster = await startCluster({ ...QUIET, KSI_WORKERS: '0' });
  const pool = new Pool(cluster.url, { connections: AT_ONCE, pipelining: 1 });
  try {
    const before = await memoryOf(cluster);
    const begun = performance.now();
    let next = 0;
    const one = async (): Promise<void> => {
      while (next < count) {
        const id = `agent-${String(next++).padStart(6, '0')}`;
        await post(pool, cluster, '/agents/register', {
          agent_id: id,
          kind: 'managed',
          role: 'critic',
          capabilities: ['review', `of-${next % 50}`],
        });
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, one));
    const took = (performance.now() - begun) / 1_000;
    const after = await memoryOf(cluster);
    const pageMs = await timed(20, () => get(pool, cluster, '/agents?capability=of-7&limit=100'));
    const perAgent = (name: string): number =>
      Math.max(0, ((after.get(name) ?? 0) - (before.get(name) ?? 0)) / 1_024 / count);
    return [
      { name: `${count} agents registered, ${AT_ONCE} at once`, unit: '1/s', ksi: count / took },
      { name: 'memory per registered agent: API', unit: 'KB', ksi: perAgent('api-1') },
      { name: 'memory per registered agent: nats-server', unit: 'KB', ksi: perAgent('nats-1') },
      { name: `a page of 100 of ${count} agents, by capability`, unit: 'ms', ksi: pageMs },
    ];
  } finally {
    await pool.close();
    await cluster.stop();
  }
}

/** Managed agents in pairs, each answering the other: a task of the stand-in executable for each message. */
async function conversing({ conversingAgents: count, seconds }: BenchOptions): Promise<Result[]> {
  const cluster = await startCluster({
    ...QUIET,
    KSI_CLAUDE_BIN: CLAUDE_STANDIN,
    KSI_CONCURRENCY: '4',
  });
  const pool = new Pool(cluster.url, { connections: AT_ONCE, pipelining: 1 });
  const socket = new WebSocket(`${cluster.url.replace('http', 'ws')}/events?subject=ksi.events.agent.*.message.*`, {
    headers: { authorization: `Bearer ${cluster.token}` },
  });
  try {
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
    const ids = Array.from({ length: count }, (_, n) => `pair-${n}`);
    await Promise.all(
      ids.map((id) =>
        post(pool, cluster, '/agents/register', { agent_id: id, kind: 'managed', answers_replies: true }),
      ),
    );
    let answers = 0;
    const spoke = new Set<string>();
    const all = new Promise<void>((resolve) => {
      socket.on('message', (data: Buffer) => {
        const { data: message } = JSON.parse(data.toString('utf8')) as { data: { from?: string; hops?: number } };
        if (message.from === undefined || (message.hops ?? 0) === 0) return;
        answers += 1;
        spoke.add(message.from);
        if (spoke.size === count) resolve();
      });
    });
    const begun = performance.now();
    // Every second one begins; the other answers it, and so on.
    await Promise.all(
      ids.flatMap((from, n) =>
        n % 2 === 0 ? [post(pool, cluster, '/messages', { from, to: ids[n + 1], content: 'hello' })] : [],
      ),
    );
    await all;
    const everybody = (performance.now() - begun) / 1_000;
    await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
    const took = (performance.now() - begun) / 1_000;
    return [
      { name: `${count} managed agents conversing: answers`, unit: '1/s', ksi: answers / took },
      { name: `${count} managed agents conversing: until each has answered`, unit: 's', ksi: everybody },
    ];
  } finally {
    socket.terminate();
    await pool.close();
    await cluster.stop();
  }
}

async function memoryOf(cluster: TestCluster): Promise<Map<string, number>> {
  const { processes } = JSON.parse((await cluster.ksi(['status', '-o', 'json'])).stdout) as Status;
  return new Map(processes.map(({ name, memory_bytes: rss = 0 }) => [name, rss]));
}

async function post(pool: Pool, { token }: TestCluster, path: string, body: object): Promise<void> {
  const answer = await pool.request({
    path,
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
  });
  const text = await answer.body.text();
  if (answer.statusCode >= 300) throw new Error(`POST ${path} was answered ${answer.statusCode}: ${text}`);
}

async function get(pool: Pool, { token }: TestCluster, path: string): Promise<void> {
  const answer = await pool.request({ path, method: 'GET', headers: { authorization: `Bearer ${token}` } });
  await answer.body.dump();
}

/** Milliseconds, of the middle one of so many. */
async function timed(times: number, work: () => Promise<void>): Promise<number> {
  const took: number[] = [];
  for (let n = 0; n < times; n++) {
    const begun = performance.now();
    await work();
    took.push(performance.now() - begun);
  }
  return took.toSorted((a, b) => a - b)[Math.floor(times / 2)] ?? 0;
}
