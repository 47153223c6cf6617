import type { Config } from '../../contracts/config/config.js';
import { readConfig } from '../config/load.js';
import { withoutPassword } from '../without-password.js';
import { ClusterError } from './errors.js';
import { apiSpec, bridgeSpec, workerSpec, type Plan, type ProcessSpec } from './plan.js';

/** Settings that place the broker, the APIs or the bridge, or that `up` prepares for. They change only while the cluster is stopped. */
const PLACES = /^KSI_(HOST|PORT|APIS|NATS_.*|BRIDGE.*|CONTAINMENT|BWRAP)$/;

/** Whether a setting can change only while the cluster is stopped. */
export const needsStop = (setting: string): boolean => PLACES.test(setting);

/**
 * The plan with the variables that `env` sets. An empty variable counts as unset: the running cluster keeps its value.
 * @throws {ConfigError}
 * @throws {ClusterError} `needs_restart` if a setting can change only while the cluster is stopped
 */
export function changedPlan(plan: Plan, env: Plan['env']): Plan {
  const given = Object.entries(env).filter(([name, value]) => value !== '' && name !== 'KSI_NATS_SERVER');
  const merged = { ...plan.env, ...Object.fromEntries(given), KSI_DIR: plan.paths.dir };
  const config = readConfig(merged);
  const fixed = (Object.keys(config) as (keyof Config)[]).filter(
    (name) => needsStop(name) && config[name] !== plan.config[name],
  );
  if (fixed.length > 0)
    throw new ClusterError(
      'needs_restart',
      `Only a stopped cluster can change to ${fixed.map((name) => withoutPassword(`${name}=${String(config[name])} (now ${String(plan.config[name])})`)).join(', ')}. Run \`make down\`, then \`make up\`.`,
    );
  return { ...plan, config, env: merged };
}

/** How a process of the cluster is started again. @returns undefined for a process that a restart leaves alone */
export function specAgain(plan: Plan, { name, role }: ProcessSpec): ProcessSpec | undefined {
  const n = Number(/\d+$/.exec(name)?.[0]);
  if (role === 'api') return apiSpec(plan, n);
  if (role === 'worker') return workerSpec(plan, n);
  return role === 'bridge' ? bridgeSpec(plan) : undefined;
}
