import { isStopped } from '../process/identity.js';
import { frozen } from './cluster.js';
import { findingsOf, type Finding } from './finding.js';
import type { Health, Varz, Watched } from './monitor.js';

const { ok, warning, failed } = findingsOf('broker');
const NEARLY_FULL = 0.8;

/** Each nats-server, by its own word. @param pids of local processes, by name. */
export const checkServers = (servers: readonly Watched[], pids: Readonly<Record<string, number>>): Finding[] =>
  servers.flatMap(({ name, varz, health }) =>
    varz === undefined || health === undefined
      ? [silent(name, pids[name])]
      : [syncOf(name, varz), ...healthOf(name, health), ...storageOf(name, varz)],
  );

function silent(name: string, pid: number | undefined): Finding {
  if (pid !== undefined && isStopped(pid)) return { ...frozen(name, pid), group: 'broker' };
  return failed(name, 'its monitoring does not answer', `Look into its log: ksi logs ${name}`);
}

function syncOf(name: string, { jetstream }: Varz): Finding {
  const { sync_always: always, sync_interval: interval } = jetstream?.config ?? {};
  return always === true
    ? ok(name, 'syncs before it acknowledges')
    : warning(
        name,
        `syncs ${interval === undefined ? 'now and then' : `every ${interval / 1e9} s`}: a power loss takes what was acknowledged in that time`,
        'If that is not what you chose: KSI_NATS_SYNC=always',
      );
}

/** Pure. */
export function healthOf(name: string, { status, errors = [] }: Health): Finding[] {
  if (status === 'ok') return [];
  const next = `If it stays, look into its log: ksi logs ${name}`;
  const [first, ...others] = errors.map(({ error }) => error);
  if (first === undefined) return [failed(name, `its health is ${status}`, next)];
  return [failed(name, others.length === 0 ? first : `${first}; and ${others.length} more of its copies`, next)];
}

/** Pure. */
export function storageOf(name: string, { jetstream }: Varz): Finding[] {
  const used = jetstream?.stats?.storage ?? 0;
  const most = jetstream?.config?.max_storage ?? 0;
  if (most <= 0 || used / most < NEARLY_FULL) return [];
  const found = `its streams take ${Math.round((used / most) * 100)} % of what nats-server may store`;
  return [
    warning(name, found, 'Raise max_file_store in nats.conf, or lower what streams keep (README, Configuration).'),
  ];
}
