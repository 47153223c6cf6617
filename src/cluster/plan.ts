import { createHash } from 'node:crypto';
import { join, resolve } from 'node:path';
import { listOf } from '../config/load.js';
import type { Config } from '../../contracts/config/config.js';
import { LEGACY_SOCKET } from '../../contracts/bridge/legacy.js';
import { natsUrl, type NatsServer } from './broker.js';
import { defined } from '../defined.js';
import { common, isInherited, pick } from './environment.js';
import { inboxPrefix, type NATS_USERS } from './secrets.js';
import type { ClusterPaths } from './paths.js';

export type Role = 'broker' | 'standin' | 'api' | 'worker' | 'bridge';

/** How the supervisor starts a process. */
export interface ProcessSpec {
  readonly name: string;
  readonly role: Role;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Where the process listens. */
  readonly address?: string;
  /** Time to end after SIGTERM. The supervisor then kills the process group. */
  readonly graceMs: number;
  /** Exit code 0 means that a client shut the process down. The supervisor does not restart it. */
  readonly mayEnd?: true;
}

/** The files that the processes are started from. */
export interface Entries {
  readonly api: string;
  readonly worker: string;
  readonly bridge: string;
  readonly standin: string;
  readonly natsConf: string;
}

/** Everything that is decided before the first process starts. */
export interface Plan {
  readonly config: Config;
  readonly paths: ClusterPaths;
  /** The source of the processes' environments. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly entries: Entries;
  /** Absent when KSI_NATS_URL names an external broker. */
  readonly broker?: {
    readonly executable: string;
    /** One or three. */
    readonly servers: readonly NatsServer[];
    /** Authenticates the servers of a cluster to each other. */
    readonly routeSecret: string;
    /** Of the store. Empty without encryption. */
    readonly encryptionKey: string;
    readonly keys: Readonly<Record<(typeof NATS_USERS)[number], string>>;
  };
  readonly standinPort?: number;
}

type Env = Record<string, string>;

export const apiPort = (plan: Plan, n: number): number => plan.config.KSI_PORT + n - 1;

export function standinSpec(plan: Plan): ProcessSpec | undefined {
  if (plan.standinPort === undefined) return undefined;
  return {
    name: 'messages-standin',
    role: 'standin',
    command: process.execPath,
    args: [plan.entries.standin],
    env: { ...common(plan.env), PORT: String(plan.standinPort) },
    address: `127.0.0.1:${plan.standinPort}`,
    graceMs: 5_000,
  };
}

export const apiSpec = (plan: Plan, n: number): ProcessSpec => ({
  name: `api-${n}`,
  role: 'api',
  command: process.execPath,
  args: ['--enable-source-maps', plan.entries.api],
  env: { ...common(plan.env), ...ksiEnv(plan, 'api', n), KSI_PORT: String(apiPort(plan, n)) },
  address: `${plan.config.KSI_HOST}:${apiPort(plan, n)}`,
  graceMs: 15_000,
});

export const workerSpec = (plan: Plan, n: number): ProcessSpec => ({
  name: `worker-${n}`,
  role: 'worker',
  command: process.execPath,
  args: ['--enable-source-maps', plan.entries.worker],
  env: {
    // Claude may need any of the operator's variables. The worker passes only an allow-list on to it.
    ...pick(plan.env, (name) => isInherited(name) && !(plan.standinPort !== undefined && CLAUDES_OWN.test(name))),
    ...ksiEnv(plan, 'worker', n),
    ...metricsPort(plan, n),
    ...standinEnv(plan),
  },
  graceMs: (plan.config.KSI_DRAIN_S + 15) * 1000,
});

/** The bridge for clients of the old daemon. Undefined unless KSI_BRIDGE enables it. */
export function bridgeSpec(plan: Plan): ProcessSpec | undefined {
  const { config, paths, env, entries } = plan;
  if (config.KSI_BRIDGE === 0) return undefined;
  const dir = resolve(config.KSI_BRIDGE_DIR ?? join(paths.dir, 'bridge'));
  const socket = resolve(config.KSI_BRIDGE_SOCKET ?? join(dir, LEGACY_SOCKET));
  return {
    name: 'bridge',
    role: 'bridge',
    command: process.execPath,
    args: ['--enable-source-maps', entries.bridge],
    env: {
      ...common(env),
      KSI_DIR: paths.dir,
      KSI_PROCESS: 'bridge',
      KSI_BRIDGE_DIR: dir,
      KSI_BRIDGE_SOCKET: socket,
    },
    address: socket,
    graceMs: 10_000,
    mayEnd: true,
  };
}

function ksiEnv(plan: Plan, role: 'api' | 'worker', n: number): Env {
  const { config, paths } = plan;
  const user = role === 'api' ? role : (`worker-${n}` as const);
  const external = plan.broker === undefined;
  return defined({
    KSI_DIR: paths.dir,
    KSI_PROCESS: `${role}-${n}`,
    KSI_NATS_URL: natsUrl(plan),
    KSI_NATS_CREDENTIALS: external ? config.KSI_NATS_CREDENTIALS : paths.seed(user),
    KSI_NATS_INBOX: external ? config.KSI_NATS_INBOX : inboxPrefix(user),
  });
}

function metricsPort(plan: Plan, n: number): Env {
  const first = plan.config.KSI_METRICS_PORT;
  if (first === undefined) return {};
  return { KSI_METRICS_PORT: String(first === 0 ? 0 : first + n - 1) };
}

const CLAUDES_OWN = /^(ANTHROPIC|CLAUDE)_/;

/** A demo must not reach a real model, even if the operator's shell has credentials. */
const standinEnv = (plan: Plan): Env =>
  plan.standinPort === undefined
    ? {}
    : { ANTHROPIC_BASE_URL: `http://127.0.0.1:${plan.standinPort}`, ANTHROPIC_API_KEY: 'sk-ant-demo-not-a-key' };

/** Variables that sign Claude in. */
export const SIGN_INS = [
  'ANTHROPIC_API_KEY',
  'ANTHROPIC_AUTH_TOKEN',
  'CLAUDE_CODE_OAUTH_TOKEN',
  'CLAUDE_CONFIG_DIR',
  'CLAUDE_CODE_USE_BEDROCK',
  'CLAUDE_CODE_USE_VERTEX',
] as const;

/** Variables of the environment that sign Claude in, each with a fingerprint of its value. */
export const claudeCredentials = (env: Plan['env'], config: Config): Readonly<Record<string, string>> =>
  Object.fromEntries(
    [...SIGN_INS, ...listOf(config.KSI_CLAUDE_ENV)].flatMap((name) => {
      const value = env[name] ?? '';
      return value === '' ? [] : [[name, createHash('sha256').update(value).digest('hex').slice(0, 12)]];
    }),
  );

/** Whether the environment signs Claude in. */
export const hasClaudeCredentials = (env: Plan['env'], config: Config): boolean =>
  Object.keys(claudeCredentials(env, config)).length > 0;
