import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { request } from 'undici';
import { BUCKET, STREAM } from '../../contracts/wire/names.js';
import type { Endpoints } from '../../src/cluster/endpoints.js';
import type { Quantity } from './trend.js';

/** Values by series name, such as `memory of api-1`. */
export type Sample = Readonly<Record<string, number>>;

const MEMORY = { unit: 'MB', absolute: 10, relative: 0.08 } as const;
const DESCRIPTORS = { unit: '', absolute: 6, relative: 0.05 } as const;
const BROKER = { unit: '', absolute: 4, relative: 0.05 } as const;
const DISK = { unit: 'MB', absolute: 8, relative: 0.08 } as const;
const MESSAGES = { unit: '', absolute: 100, relative: 0.1 } as const;

/**
 * Streams that keep something of a task or agent after its deletion, for hours or days: the audit, TASK_DELETED, idempotency keys and markers of
 * deleted records. A run is shorter than that, so they grow in it, by a bounded amount per round.
 */
const KEEPS_TRACES: ReadonlySet<string> = new Set([
  STREAM.audit,
  STREAM.events,
  ...[BUCKET.idempotency, BUCKET.agents, BUCKET.exchanges].map((bucket) => `KV_${bucket}`),
]);
const TRACES_PER_ROUND = 6;
const TRACE_MB = 2 / 1_024;
/** The broker's index of subjects: each trace has a subject of its own. */
const TRACE_MEMORY_MB = 1.5 / 1_024;

/** How much a series may grow, by the first words of its name. @param rounds the rounds in the counted part of the run. */
export function quantityOf(name: string, rounds: number): Quantity {
  const traces = rounds * TRACES_PER_ROUND;
  const kinds = {
    'memory of nats': { ...MEMORY, absolute: MEMORY.absolute + traces * TRACE_MEMORY_MB },
    memory: MEMORY,
    descriptors: DESCRIPTORS,
    broker: BROKER,
    'disk of traces': { unit: 'MB', absolute: traces * TRACE_MB, relative: 0 },
    disk: DISK,
    messages: MESSAGES,
    traces: { unit: '', absolute: traces, relative: 0 },
  } as const;
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
    const jsz = await ask<StreamsReport>(`${server.monitor}/jsz?streams=1`);
    sample['broker subscriptions'] = varz.subscriptions;
    sample['broker connections'] = varz.connections;
    sample['broker consumers'] = jsz.consumers;
    for (const { name, state } of jsz.account_details.flatMap(({ stream_detail: streams = [] }) => streams))
      sample[`${KEEPS_TRACES.has(name) ? 'traces in' : 'messages of'} ${name}`] = state.messages;
  }
  for (const folder of ['nats', 'workspaces', 'workers', 'api-1', 'logs']) {
    const bytes = await diskBytes(join(dir, folder));
    if (bytes !== undefined) sample[`disk of ${folder}`] = bytes / MB;
  }
  const accounts = join(dir, 'nats', 'store', 'jetstream');
  const streams = readdirSync(accounts).flatMap((account) =>
    [...KEEPS_TRACES].map((stream) => join(accounts, account, 'streams', stream)),
  );
  const traces = await Promise.all(streams.map(diskBytes));
  sample['disk of traces'] = traces.reduce<number>((sum, bytes) => sum + (bytes ?? 0), 0) / MB;
  sample['disk of nats'] = (sample['disk of nats'] ?? 0) - sample['disk of traces'];
  sample['disk in all'] = ((await diskBytes(dir)) ?? 0) / MB - sample['disk of traces'];
  return sample;
}

/** The fields of the monitoring endpoint `/jsz?streams=1` that a sample takes. */
interface StreamsReport {
  readonly consumers: number;
  readonly account_details: readonly {
    readonly stream_detail?: readonly { readonly name: string; readonly state: { readonly messages: number } }[];
  }[];
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
