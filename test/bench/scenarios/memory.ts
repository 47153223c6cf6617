import { startCluster } from '../../fixtures/cluster.js';
import type { BenchOptions } from '../options.js';
import type { Result } from '../result.js';

interface Status {
  processes: { name: string; memory_bytes?: number }[];
}

/** Resident memory of each process of an idle cluster. */
export async function memory(_options: BenchOptions): Promise<Result[]> {
  const cluster = await startCluster({ KSI_LOG_LEVEL: 'warn' });
  try {
    const status = await cluster.ksi(['status', '-o', 'json']);
    const { processes } = JSON.parse(status.stdout) as Status;
    const megabytes = (bytes = 0): number => bytes / 1_048_576;
    return [
      ...processes.map(({ name, memory_bytes: rss }) => ({
        name: `idle memory: ${name}`,
        unit: 'MB',
        ksi: megabytes(rss),
      })),
      {
        name: 'idle memory: all',
        unit: 'MB',
        ksi: processes.reduce((sum, { memory_bytes: rss }) => sum + megabytes(rss), 0),
      },
    ];
  } finally {
    await cluster.stop();
  }
}
