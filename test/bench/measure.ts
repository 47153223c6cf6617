import { Pool } from 'undici';

export interface Rate {
  perSecond: number;
  p50Ms: number;
  p99Ms: number;
  errors: number;
}

export const percentile = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;

/** Sends POSTs from `connections` clients, each one after its answer, for `seconds`; counts the answers of `status`. */
export async function postLoad(options: {
  url: string;
  path: string;
  body: string;
  headers: Record<string, string>;
  status: number;
  connections: number;
  seconds: number;
}): Promise<Rate> {
  const pool = new Pool(options.url, { connections: options.connections, pipelining: 1 });
  const times: number[] = [];
  let errors = 0;
  const end = performance.now() + options.seconds * 1_000;
  const client = async (): Promise<void> => {
    while (performance.now() < end) {
      const begun = performance.now();
      const answer = await pool.request({
        path: options.path,
        method: 'POST',
        body: options.body,
        headers: { 'content-type': 'application/json', ...options.headers },
      });
      await answer.body.dump();
      if (answer.statusCode === options.status) times.push(performance.now() - begun);
      else errors++;
    }
  };
  const begun = performance.now();
  await Promise.all(Array.from({ length: options.connections }, client));
  const seconds = (performance.now() - begun) / 1_000;
  await pool.close();
  times.sort((a, b) => a - b);
  return { perSecond: times.length / seconds, p50Ms: percentile(times, 0.5), p99Ms: percentile(times, 0.99), errors };
}
