import { request } from 'undici';
import type { Task, TaskPage } from '../../../contracts/tasks/task.js';
import { startCluster } from '../../fixtures/cluster.js';
import { CLAUDE_STANDIN } from '../../fixtures/paths.js';
import { percentile } from '../measure.js';
import type { BenchOptions } from '../options.js';
import type { Result } from '../result.js';

/** From the end of a session's task to the start of the one that waits behind it, by the events of two workers of one place each. */
export async function handOver({ latencyTasks: tasks }: BenchOptions): Promise<Result[]> {
  const cluster = await startCluster({
    KSI_CLAUDE_BIN: CLAUDE_STANDIN,
    KSI_WORKERS: '2',
    KSI_CONCURRENCY: '1',
    KSI_LOG_LEVEL: 'warn',
    KSI_SPAWN_RATE: '0',
  });
  const headers = { authorization: `Bearer ${cluster.token}`, 'content-type': 'application/json' };
  const body = '{"prompt": "bench", "session_id": "one"}';
  const post = async (query = ''): Promise<void> => {
    const answer = await request(`${cluster.url}/spawn${query}`, { method: 'POST', headers, body });
    await answer.body.dump();
  };
  try {
    for (let n = 1; n < tasks; n++) await post();
    // In order: when the last one has ended, all have.
    await post('?wait=300');
    const listed = await request(`${cluster.url}/tasks?session_id=one&limit=500`, { headers });
    const pauses = pausesOf(((await listed.body.json()) as TaskPage).items);
    return [0.5, 0.99].map((share) => ({
      name: `from the end of a session's task to the start of the next, p${share * 100}`,
      unit: 'ms',
      ksi: percentile(pauses, share),
      note: 'two workers, one place each',
    }));
  } finally {
    await cluster.stop();
  }
}

function pausesOf(tasks: readonly Task[]): number[] {
  const inOrder = tasks.toSorted((a, b) => (a.task_id < b.task_id ? -1 : 1));
  return inOrder
    .slice(1)
    .map(({ started_at: start = '' }, n) => Date.parse(start) - Date.parse(inOrder[n]?.ended_at ?? ''))
    .toSorted((a, b) => a - b);
}
