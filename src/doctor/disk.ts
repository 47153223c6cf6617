import { mkdtemp, open, rm, statfs } from 'node:fs/promises';
import { availableParallelism, freemem, loadavg, totalmem } from 'node:os';
import { join } from 'node:path';
import type { Config } from '../../contracts/config/config.js';
import { storeLimit } from '../../contracts/broker/stream-limits.js';
import { findingsOf, type Finding } from './finding.js';

const { ok, warning, failed } = findingsOf('disk');
const GB = 1_073_741_824;
const MIN_FREE = 1 * GB;
/** On a large disk, this is enough even if it is less than a tenth. */
const LITTLE_FREE = 20 * GB;
const SYNCS = 10;
const SLOW_SYNC_MS = 20;
/** Memory of one run (docs/design/facts.md#orphans-and-memory). */
const MIN_PER_RUN = 0.3 * GB;

/** Checks free space, the time of a durable write, memory and load. @param dir an existing folder */
export async function* checkDisk(dir: string, config: Config): AsyncGenerator<Finding> {
  const { bavail, blocks, bsize, ffree, files } = await statfs(dir);
  yield spaceFinding(dir, bavail * bsize, blocks * bsize);
  const limit = config.KSI_NATS_URL === undefined ? storeLimit(config) * config.KSI_NATS_SERVERS : 0;
  if (limit > blocks * bsize)
    yield warning(
      'limits',
      `the streams may grow to ${gigabytes(limit)}, but the disk has only ${gigabytes(blocks * bsize)}`,
      'Lower KSI_EVENTS_MAX_BYTES and KSI_STREAM_MAX_BYTES, so that KSI refuses tasks before the disk is full.',
    );
  if (files > 0 && ffree / files < 0.01)
    yield failed('inodes', `only ${ffree} are free`, 'Delete files: the file system has too many small ones.');
  const ms = await syncMs(dir);
  yield ms < SLOW_SYNC_MS
    ? ok('sync', `${ms.toFixed(1)} ms to make a write durable`)
    : warning(
        'sync',
        `${ms.toFixed(1)} ms to make a write durable, and each spawn waits for that`,
        'Use a faster disk. If a power loss may cost the last second of work, set KSI_NATS_SYNC=1s.',
      );
  const runs = config.KSI_WORKERS * config.KSI_CONCURRENCY;
  yield totalmem() >= runs * MIN_PER_RUN
    ? ok(
        'memory',
        `${gigabytes(freemem())} of ${gigabytes(totalmem())} are free; ${runs} concurrent runs need at least ${gigabytes(runs * MIN_PER_RUN)}`,
      )
    : warning(
        'memory',
        `the machine has ${gigabytes(totalmem())}, but ${runs} concurrent runs need at least ${gigabytes(runs * MIN_PER_RUN)}`,
        'Lower KSI_CONCURRENCY or KSI_WORKERS.',
      );
  const [load = 0] = loadavg();
  const cpus = availableParallelism();
  yield load < cpus * 4
    ? ok('load', `${load.toFixed(1)} on ${cpus} processors`)
    : warning(
        'load',
        `${load.toFixed(1)} on ${cpus} processors`,
        'Lower KSI_CONCURRENCY. Workers that get too little processor time lose their leases.',
      );
}

const gigabytes = (bytes: number): string => `${(bytes / GB).toFixed(1)} GB`;

export function spaceFinding(dir: string, free: number, size: number): Finding {
  const found = `${gigabytes(free)} of ${gigabytes(size)} are free in ${dir}`;
  const next = 'Free some space. A full disk stops the broker.';
  if (free < MIN_FREE) return failed('space', found, next);
  return free < Math.min(size / 10, LITTLE_FREE)
    ? warning('space', `${found}: the disk is nearly full`, next)
    : ok('space', found);
}

/** The median time of a durable write, in ms. */
async function syncMs(dir: string): Promise<number> {
  const folder = await mkdtemp(join(dir, '.doctor-'));
  try {
    const file = await open(join(folder, 'sync'), 'w', 0o600);
    const times: number[] = [];
    for (let n = 0; n < SYNCS; n++) {
      const begun = performance.now();
      await file.write('x'.repeat(512));
      await file.datasync();
      times.push(performance.now() - begun);
    }
    await file.close();
    return times.toSorted((a, b) => a - b)[SYNCS / 2] ?? 0;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
