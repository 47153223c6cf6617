import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { request } from 'undici';
import type { Endpoints } from '../../src/cluster/endpoints.js';
import type { Quantity } from './trend.js';

/** Values by series name, such as `memory of api-1`. */
export type Sample = Readonly<Record<string, number>>;

const MEMORY = { unit: 'MB', absolute: 10, relative: 0.08 } as const;
const DESCRIPTORS = { unit: '', absolute: 6, relative: 0.05 } as const;
const BROKER = { unit: '', absolute: 4, relative: 0.05 } as const;
const DISK = { unit: 'MB', absolute: 8, relative: 0.08 } as const;

/** How much a series may grow, by the first words of its name. */
export function quantityOf(name: string): Quantity {
  const kinds = { memory: MEMORY, descriptors: DESCRIPTORS, broker: BROKER, disk: DISK };
  const kind = Object.entries(kinds).find(([prefix]) => name.startsWith(prefix))?.[1];
  if (kind === undefined) throw new Error(`no allowance is known for the series ${name}`);
  return { name, ...kind };
}

const MB = 1_048_576;
const run = promisify(execFile);

/** One look at a cluster. A process that has just ended gives no value. */
export async function takeSample(dir: string, endpoints: Endpoints): Promise<Sample> {
  const sample: Record<string, number> = {};
  for (const [name, pid] of Object.entries(endpoints.pids)) {
    const memory = residentBytes(pid);
    if (memory !== undefined) sample[`memory of ${name}`] = memory / MB;
    const descriptors = openDescriptors(pid);
    if (descriptors !== undefined) sample[`descriptors of ${name}`] = descriptors;
  }
  const [server] = endpoints.nats.servers;
  if (server !== undefined) {
    const varz = await ask<{ subscriptions: number; connections: number }>(`${server.monitor}/varz`);
    const jsz = await ask<{ consumers: number; messages: number }>(`${server.monitor}/jsz`);
    sample['broker subscriptions'] = varz.subscriptions;
    sample['broker connections'] = varz.connections;
    sample['broker consumers'] = jsz.consumers;
  }
  for (const folder of ['nats', 'workspaces', 'workers', 'api-1', 'logs']) {
    const bytes = await diskBytes(join(dir, folder));
    if (bytes !== undefined) sample[`disk of ${folder}`] = bytes / MB;
  }
  sample['disk in all'] = ((await diskBytes(dir)) ?? 0) / MB;
  return sample;
}

async function ask<T>(url: string): Promise<T> {
  const answer = await request(url, { headersTimeout: 10_000, bodyTimeout: 10_000 });
  return (await answer.body.json()) as T;
}

/** Anonymous memory alone: pages of mapped LMDB files belong to the system's cache. */
function residentBytes(pid: number): number | undefined {
  const kilobytes = /^RssAnon:\s+(\d+) kB$/m.exec(contentsOf(`/proc/${pid}/status`) ?? '')?.[1];
  return kilobytes === undefined ? undefined : Number(kilobytes) * 1_024;
}

function openDescriptors(pid: number): number | undefined {
  try {
    return readdirSync(`/proc/${pid}/fd`).length;
  } catch {
    return undefined;
  }
}

function contentsOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** As `du` counts: blocks that are really taken. Files vanish under it, which it reports and which is no failure. */
async function diskBytes(path: string): Promise<number | undefined> {
  const { stdout } = await run('du', ['-sk', path]).catch((error: { stdout?: string }) => ({
    stdout: error.stdout ?? '',
  }));
  const kilobytes = /^(\d+)/.exec(stdout)?.[1];
  return kilobytes === undefined ? undefined : Number(kilobytes) * 1_024;
}
