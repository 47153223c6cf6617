import { join } from 'node:path';
import type { TestCluster } from '../fixtures/cluster.js';

/** How a benchmark's process signs in to the cluster's broker as its API does. */
export const brokerOf = (cluster: TestCluster): Record<string, string> => ({
  BENCH_NATS: (cluster.endpoints['nats'] as { url: string }).url,
  BENCH_CREDENTIALS: join(cluster.dir, 'nats', 'api.nk'),
  BENCH_INBOX: '_INBOX_api',
});
