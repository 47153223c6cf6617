import { hostname } from 'node:os';
import { resolve } from 'node:path';
import type { Logger } from 'pino';
import type { Config } from '../contracts/config/config.js';
import { Blobs } from '../src/broker/blobs.js';
import type { Broker } from '../src/broker/connect.js';
import { listOf } from '../src/config/load.js';
import { mcpServersFile } from '../src/tools/mcp-servers.js';
import { toolPolicyFile } from '../src/tools/policy-file.js';
import { addedRoots } from '../src/workspaces/added-roots.js';
import { Workspaces, writersIn } from '../src/workspaces/roots.js';
import type { WorkerContext } from './attempt/context.js';
import { MAX_NAK_MS } from './attempt/delay-run.js';
import type { Containment } from './claude/containment.js';
import { claudeEnvironment } from './claude/environment.js';
import { CREDENTIALS } from './claude/login.js';
import { Folders } from './claude/folders.js';
import { ContainedLauncher } from './claude/contained-launcher.js';
import { MemoryWatch } from './claude/memory.js';
import { ModelPrices } from './claude/model-prices.js';
import { queryOptions } from './claude/query-options.js';
import { runClaude } from './claude/run.js';
import { NO_LIMITS } from './claude/tools.js';
import { WarmPool, type WarmPoolOptions } from './claude/warm-pool.js';
import { Worktrees } from './claude/worktrees.js';
import { DeletedSessions } from './disk/deleted-sessions.js';
import { LeftoverRemoval } from './disk/leftover-removal.js';
import { WorkspaceSizes } from './disk/workspace-sizes.js';
import { WorkspaceRetention } from './disk/workspace-retention.js';
import { SessionFiles } from './files/session-files.js';
import { Journal } from './journal/journal.js';
import { WorkerPresenceEntry } from './presence.js';
import { ExclusiveRun } from './queue/exclusive-run.js';
import { ResourceShortages } from './queue/resource-shortages.js';
import { maxHeldRuns, Slots } from './queue/slots.js';
import { UsageLimit } from './queue/usage-limit.js';

export interface PartsOptions {
  readonly broker: Broker;
  readonly config: Config;
  /** The worker's environment. claude/environment.ts selects the variables that Claude gets. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: Logger;
  readonly containment: Containment;
  /** A run that waits longer for its next attempt is parked. Default: 55 s. */
  readonly longestNakMs?: number;
}

export type WorkerParts = ReturnType<typeof partsOf>;

/** Creates the long-lived parts of a worker. Each part depends only on earlier ones. */
export function partsOf({ broker, config, env, log, containment }: PartsOptions, workerId: string) {
  const { clock } = broker;
  const process = config.KSI_PROCESS ?? workerId;
  const folders = new Folders(config.KSI_DIR, workerId, env['CLAUDE_CONFIG_DIR']);
  const launcher = new ContainedLauncher(
    containment,
    workerId,
    { ksiDir: folders.base, hidden: secretFiles(config) },
    log,
  );
  const workspaces = new Workspaces(config.KSI_WORKSPACES, addedRoots(config.KSI_DIR, log));
  const slots = new Slots(config.KSI_CONCURRENCY);
  const presence = new WorkerPresenceEntry(broker, process, log);
  const onChange = (): void => presence.say();
  const removals = new LeftoverRemoval(clock, log, onChange);
  const worktrees = new Worktrees(folders.base, log);
  const environment = claudeEnvironment(env, listOf(config.KSI_CLAUDE_ENV), config.KSI_MCP_TIMEOUT_S);
  return {
    process,
    workspaces,
    blobs: new Blobs(broker),
    folders,
    journal: new Journal(folders.own),
    launcher,
    slots,
    presence,
    removals,
    worktrees,
    environment,
    shortages: new ResourceShortages({ clock, slots, onChange, log }),
    limit: new UsageLimit({
      broker,
      workerId,
      env: environment.env,
      slots,
      onEnd: onChange,
      random: Math.random,
      log,
    }),
    deleted: new DeletedSessions({ broker, process, folders, worktrees, removals, log }),
    retention: new WorkspaceRetention({ broker, folders, config, log }),
    sizes: new WorkspaceSizes({ broker, process, folders, log }),
    files: new SessionFiles({
      broker,
      process,
      workerId,
      folders,
      workspaces,
      launcher,
      secrets: [...secretFiles(config), ...loginFile(env['CLAUDE_CONFIG_DIR'])],
      env,
      log,
    }),
    warm: new WarmPool({
      count: config.KSI_WARM,
      options: queryOptions({ requested: {}, defaultModel: config.KSI_MODEL, tools: NO_LIMITS, mcpConfig: undefined }),
      env: environment.env,
      executable: config.KSI_CLAUDE_BIN,
      launcher,
      place: warmPlaces(folders, removals, maxHeldRuns(slots.count)),
      log,
    }),
  };
}

/** The context that all attempts of a worker share. @param shutdown aborts when running attempts must be returned to the queue */
export function contextOf(
  { broker, config, log, longestNakMs = MAX_NAK_MS }: PartsOptions,
  workerId: string,
  parts: WorkerParts,
  shutdown: AbortSignal,
): WorkerContext {
  const { folders, slots, removals, limit, presence, deleted } = parts;
  return {
    ...parts,
    broker,
    log: log.child({ worker_id: workerId }),
    workerId,
    host: hostname(),
    leaseMs: config.KSI_LEASE_S * 1_000,
    longestNakMs,
    retentionMs: config.KSI_EVENTS_MAX_AGE_S * 1_000,
    model: config.KSI_MODEL,
    executable: config.KSI_CLAUDE_BIN,
    writersIn: writersIn(config.KSI_WORKSPACE_WRITERS),
    toolPolicy: toolPolicyFile(config.KSI_TOOL_POLICY, log),
    mcpServers: mcpServersFile(config.KSI_MCP_SERVERS, log),
    limits: { memoryBytes: megabytes(config.KSI_TASK_MEMORY_MB), outputBytes: megabytes(config.KSI_TASK_OUTPUT_MB) },
    memory: new MemoryWatch(log),
    runClaude,
    prices: new ModelPrices(),
    random: Math.random,
    endingRuns: new Map(),
    exclusiveRun: new ExclusiveRun(slots),
    lend: (slot) => slots.lend(slot),
    sessionFolder: (sessionId, signal) => deleted.workspace(sessionId, signal),
    clear: async (slot) => {
      await removals.remove({ slot }, () => folders.clear(slot), { onLeft: () => slots.retire(slot) });
    },
    onUsageLimit: (resetsAt) => {
      if (config.KSI_USAGE_LIMIT === 'fleet') void limit.reached(resetsAt).then(() => presence.say());
    },
    shutdown,
  };
}

/** The folders of warm processes, numbered from `first`. */
function warmPlaces(folders: Folders, removals: LeftoverRemoval, first: number): WarmPoolOptions['place'] {
  let next = first;
  return async () => {
    const index = next++;
    const clear = async (): Promise<void> => {
      await removals.remove({ path: `warm ${index}` }, () => folders.clear(index));
    };
    return { folders: await folders.slot(index), clear };
  };
}

/** In bytes. 0 means no limit. */
const megabytes = (n: number): number => (n === 0 ? Infinity : n * 1_048_576);

/** Only runs may read the login. */
const loginFile = (folder: string | undefined): string[] =>
  folder === undefined ? [] : [resolve(folder, CREDENTIALS)];

/** The operator's files with secrets, which the sandbox hides. */
const secretFiles = (config: Config): string[] =>
  [
    config.KSI_NATS_CREDENTIALS,
    config.KSI_NATS_ENCRYPTION_KEY_FILE,
    config.KSI_NATS_TLS_KEY,
    config.KSI_TLS_KEY,
    config.KSI_TOKEN_FILE,
    config.KSI_BRIDGE_TOKEN_FILE,
    config.KSI_MCP_SERVERS,
  ].flatMap((file) => (file === undefined ? [] : resolve(file)));
