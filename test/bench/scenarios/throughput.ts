import { request } from 'undici';
import { CLAUDE_STANDIN } from '../../fixtures/paths.js';
import { startCluster } from '../../fixtures/cluster.js';
import { spawnLoop } from '../baselines/spawn-loop.js';
import type { BenchOptions } from '../options.js';
import type { Result } from '../result.js';

const PARALLEL = 4;

/** Tasks a second through the whole system with the stand-in executable, against a bare loop that starts it as often at once. */
export async function throughput(options: BenchOptions): Promise<Result[]> {
  const bare = await spawnLoop({ runs: options.throughputTasks, parallel: PARALLEL });
  const cluster = await startCluster({
    KSI_CLAUDE_BIN: CLAUDE_STANDIN,
    KSI_CONCURRENCY: String(PARALLEL),
    KSI_LOG_LEVEL: 'warn',
    KSI_SPAWN_RATE: '0',
  });
  try {
    const headers = { authorization: `Bearer ${cluster.token}`, 'content-type': 'application/json' };
    const begun = performance.now();
    const one = async (): Promise<void> => {
      const answer = await request(`${cluster.url}/spawn?wait=120`, {
        method: 'POST',
        headers,
        body: '{"prompt":"bench"}',
        headersTimeout: 0,
      });
      const task = (await answer.body.json()) as { status: string };
      if (task.status !== 'completed') throw new Error(`a task ended as ${task.status}`);
    };
    await Promise.all(Array.from({ length: options.throughputTasks }, one));
    const perSecond = options.throughputTasks / ((performance.now() - begun) / 1_000);
    return [
      {
        name: `tasks, ${PARALLEL} at once`,
        unit: '1/s',
        ksi: perSecond,
        baseline: { name: 'bare spawn loop of the stand-in', value: bare.perSecond },
      },
    ];
  } finally {
    await cluster.stop();
  }
}
