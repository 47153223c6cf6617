import { readFile } from 'node:fs/promises';
import { Pool } from 'undici';
import { CLAUDE_STANDIN } from '../../fixtures/paths.js';
import { startCluster, type TestCluster } from '../../fixtures/cluster.js';
import type { BenchOptions } from '../options.js';
import type { Result } from '../result.js';

const BODY = JSON.stringify({ prompt: 'x'.repeat(400) });
const CONNECTIONS = 64;

interface Status {
  processes: { name: string; pid?: number; last_end?: string }[];
}

/** Own memory of the API and of a worker behind a long queue, against the same processes behind a tenth of it. */
export async function backlog({ backlogTasks }: BenchOptions): Promise<Result[]> {
  const cluster = await startCluster({
    KSI_CLAUDE_BIN: CLAUDE_STANDIN,
    KSI_CONCURRENCY: '1',
    KSI_NATS_SYNC: '1s',
    KSI_LOG_LEVEL: 'warn',
    KSI_SPAWN_RATE: '0',
  });
  try {
    const few = Math.ceil(backlogTasks / 10);
    await post(cluster, few);
    const before = await memoryOf(cluster);
    await post(cluster, backlogTasks - few);
    const after = await memoryOf(cluster);
    return [...after].map(([name, megabytes]) => ({
      name: `memory of ${name}, ${backlogTasks.toLocaleString('en-US')} tasks queued`,
      unit: 'MB',
      ksi: megabytes,
      baseline: { name: `behind ${few.toLocaleString('en-US')}`, value: before.get(name) ?? Number.NaN },
    }));
  } finally {
    await cluster.stop();
  }
}

async function post({ url, token }: TestCluster, count: number): Promise<void> {
  const pool = new Pool(url, { connections: CONNECTIONS, pipelining: 1 });
  let left = count;
  const client = async (): Promise<void> => {
    while (left-- > 0) {
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
      const answer = await pool.request({ path: '/spawn', method: 'POST', body: BODY, headers });
      await answer.body.dump();
      if (answer.statusCode !== 202) throw new Error(`a spawn was answered ${answer.statusCode}`);
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, client));
  await pool.close();
}

/** What is a process's own, in MB: not the pages of its LMDB file, which the kernel takes back when it needs them. */
async function memoryOf(cluster: TestCluster): Promise<Map<string, number>> {
  const { stdout } = await cluster.ksi(['status', '-o', 'json']);
  const { processes } = JSON.parse(stdout) as Status;
  const memory = new Map<string, number>();
  for (const { name, pid, last_end: end } of processes) {
    if (pid === undefined) throw new Error(`${name} ended under the load: ${end ?? 'no reason is known'}`);
    const anonymous = /^RssAnon:\s+(\d+) kB/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1];
    memory.set(name, Number(anonymous) / 1_024);
  }
  return memory;
}
