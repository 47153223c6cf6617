import { WebSocket } from 'ws';
import { request } from 'undici';
import { CLAUDE_STANDIN } from '../../fixtures/paths.js';
import { startCluster } from '../../fixtures/cluster.js';
import { percentile } from '../measure.js';
import { spawnLoop } from '../baselines/spawn-loop.js';
import type { BenchOptions } from '../options.js';
import type { Result } from '../result.js';

/** From POST to the outcome on a WebSocket, one task at a time, with the stand-in executable: what KSI adds to a bare spawn of it. */
export async function latency(options: BenchOptions): Promise<Result[]> {
  const bare = await spawnLoop({ runs: options.latencyTasks, parallel: 1 });
  const cluster = await startCluster({
    KSI_CLAUDE_BIN: CLAUDE_STANDIN,
    KSI_CONCURRENCY: '4',
    KSI_LOG_LEVEL: 'warn',
    KSI_SPAWN_RATE: '0',
  });
  try {
    const times = await timedTasks(cluster.url, cluster.token, options.latencyTasks);
    return [
      {
        name: 'POST to outcome on a WebSocket, p50',
        unit: 'ms',
        ksi: percentile(times, 0.5),
        baseline: { name: 'bare spawn of the stand-in, p50', value: bare.p50Ms },
      },
      {
        name: 'POST to outcome on a WebSocket, p99',
        unit: 'ms',
        ksi: percentile(times, 0.99),
        baseline: { name: 'bare spawn of the stand-in, p99', value: bare.p99Ms },
      },
    ];
  } finally {
    await cluster.stop();
  }
}

async function timedTasks(url: string, token: string, tasks: number): Promise<number[]> {
  const authorization = `Bearer ${token}`;
  const outcomes = new Map<string, () => void>();
  const early = new Set<string>();
  const socket = new WebSocket(`${url.replace('http', 'ws')}/events?subject=ksi.events.task.*.state.complete`, {
    headers: { authorization },
  });
  socket.on('message', (data: Buffer) => {
    const event = JSON.parse(data.toString('utf8')) as { type?: string; data?: { task_id?: string } };
    const id = event.data?.task_id;
    if (event.type !== 'SPAWN_COMPLETE' || id === undefined) return;
    const waiting = outcomes.get(id);
    if (waiting === undefined) early.add(id);
    else waiting();
  });
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  const times: number[] = [];
  for (let i = 0; i < tasks; i++) {
    const begun = performance.now();
    const answer = await request(`${url}/spawn`, {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/json' },
      body: '{"prompt":"bench"}',
    });
    const { task_id: id } = (await answer.body.json()) as { task_id: string };
    if (!early.delete(id)) await new Promise<void>((resolve) => outcomes.set(id, resolve));
    outcomes.delete(id);
    times.push(performance.now() - begun);
  }
  socket.terminate();
  return times.toSorted((a, b) => a - b);
}
