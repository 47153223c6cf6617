import { startCluster } from '../../fixtures/cluster.js';
import { brokerOf } from '../cluster-broker.js';
import { startChild } from '../children.js';
import { postLoad } from '../measure.js';
import type { BenchOptions } from '../options.js';
import type { Result } from '../result.js';

const BODY = JSON.stringify({ prompt: 'x'.repeat(400) });

/** Accepted spawns a second, against a bare Fastify with one publish, with the default durability and with a sync each second. */
export async function accept(options: BenchOptions): Promise<Result[]> {
  const results: Result[] = [];
  for (const sync of ['always', '1s']) {
    const cluster = await startCluster({
      KSI_NATS_SYNC: sync,
      KSI_WORKERS: '0',
      KSI_LOG_LEVEL: 'warn',
      KSI_SPAWN_RATE: '0',
    });
    try {
      const baseline = await startChild<{ url: string }>('baselines/fastify-publish.js', brokerOf(cluster));
      for (const connections of options.connections) {
        const load = { path: '/spawn', body: BODY, status: 202, connections, seconds: options.seconds };
        const bare = await postLoad({ ...load, url: baseline.ready.url, headers: {} });
        const ksi = await postLoad({
          ...load,
          url: cluster.url,
          headers: { authorization: `Bearer ${cluster.token}` },
        });
        if (ksi.errors > 0) throw new Error(`${ksi.errors} spawns were not accepted`);
        results.push({
          name: `accepted spawns, sync ${sync}, ${connections} clients`,
          unit: '1/s',
          ksi: ksi.perSecond,
          baseline: { name: 'bare Fastify, one publish', value: bare.perSecond },
        });
      }
      await baseline.stop();
    } finally {
      await cluster.stop();
    }
  }
  return results;
}
