import { isStopped } from '../process/identity.js';
import { frozen } from './cluster.js';
import { findingsOf, type Finding } from './finding.js';
import type { Health, Varz, Watched } from './monitor.js';

const { ok, warning, failed } = findingsOf('broker');
const NEARLY_FULL = 0.8;

/** Checks each nats-server's own reports. @param pids of local processes, by name */
export const checkServers = (servers: readonly Watched[], pids: Readonly<Record<string, number>>): Finding[] =>
  servers.flatMap(({ name, varz, health }) =>
    varz === undefined || health === undefined
      ? [silent(name, pids[name])]
      : [syncOf(name, varz), ...healthOf(name, health), ...storageOf(name, varz)],
  );

function silent(name: string, pid: number | undefined): Finding {
  if (pid !== undefined && isStopped(pid)) return { ...frozen(name, pid), group: 'broker' };
  return failed(name, 'its monitoring does not answer', `See its log: ksi logs ${name}`);
}

function syncOf(name: string, { jetstream }: Varz): Finding {
  const { sync_always: always, sync_interval: interval } = jetstream?.config ?? {};
  return always === true
    ? ok(name, 'syncs before it acknowledges')
    : warning(
        name,
        `syncs ${interval === undefined ? 'at intervals' : `every ${interval / 1e9} s`}, so a power loss can lose acknowledged work`,
        'To prevent that, set KSI_NATS_SYNC=always.',
      );
}

export function healthOf(name: string, { status, errors = [] }: Health): Finding[] {
  if (status === 'ok') return [];
  const next = `If this persists, see its log: ksi logs ${name}`;
  const [first, ...others] = errors.map(({ error }) => error);
  if (first === undefined) return [failed(name, `its health is ${status}`, next)];
  return [failed(name, others.length === 0 ? first : `${first}; and ${others.length} more errors`, next)];
}

export function storageOf(name: string, { jetstream }: Varz): Finding[] {
  const used = jetstream?.stats?.storage ?? 0;
  const limit = jetstream?.config?.max_storage ?? 0;
  if (limit <= 0 || used / limit < NEARLY_FULL) return [];
  const found = `its streams use ${Math.round((used / limit) * 100)} % of the storage that nats-server may use`;
  return [
    warning(name, found, "Raise max_file_store in nats.conf, or lower the streams' limits (README, Configuration)."),
  ];
}
