import type { Logger } from 'pino';
import type { Blobs } from '../../src/broker/blobs.js';
import type { Broker } from '../../src/broker/connect.js';
import type { McpServersFile } from '../../src/tools/mcp-servers.js';
import type { ToolPolicyFile } from '../../src/tools/policy-file.js';
import type { Workspaces } from '../../src/workspaces/roots.js';
import type { ClaudeEnvironment } from '../claude/environment.js';
import type { Folders } from '../claude/folders.js';
import type { ContainedLauncher } from '../claude/contained-launcher.js';
import type { MemoryWatch } from '../claude/memory.js';
import type { ModelPrices } from '../claude/model-prices.js';
import type { runClaude } from '../claude/run.js';
import type { WarmPool } from '../claude/warm-pool.js';
import type { Worktrees } from '../claude/worktrees.js';
import type { Journal } from '../journal/journal.js';
import type { ExclusiveRun } from '../queue/exclusive-run.js';
import type { ResourceShortages } from '../queue/resource-shortages.js';

/** What all attempts of a worker share. */
export interface WorkerContext {
  readonly broker: Broker;
  readonly blobs: Blobs;
  readonly folders: Folders;
  readonly log: Logger;
  readonly workerId: string;
  /** The worker's name in control subjects. */
  readonly process: string;
  readonly host: string;
  readonly leaseMs: number;
  /** A run with a longer delay before its next attempt is parked. */
  readonly longestNakMs: number;
  /** The age at which events are deleted. */
  readonly retentionMs: number;
  readonly model: string;
  readonly executable: string | undefined;
  readonly environment: ClaudeEnvironment;
  /** Called with the time, in ms since 1970, at which a usage limit that Claude reported is reset. */
  readonly onUsageLimit: (resetsAt: number) => void;
  readonly launcher: ContainedLauncher;
  readonly worktrees: Pick<Worktrees, 'note'>;
  readonly workspaces: Pick<Workspaces, 'find' | 'none' | 'outermost'>;
  /** How many tasks may write at once in the workspaces below a root. 0: no limit. */
  readonly writersIn: (root: string) => number;
  readonly toolPolicy: Pick<ToolPolicyFile, 'current'>;
  readonly mcpServers: Pick<McpServersFile, 'current'>;
  /** Limits per attempt. Infinity: no limit. */
  readonly limits: { readonly memoryBytes: number; readonly outputBytes: number };
  readonly memory: Pick<MemoryWatch, 'watch'>;
  readonly runClaude: typeof runClaude;
  readonly prices: ModelPrices;
  /** Warm processes. Undefined: the worker keeps none. */
  readonly warm?: Pick<WarmPool, 'take'> | undefined;
  /** Returns a number between 0 and 1. */
  readonly random: () => number;
  readonly journal: Journal;
  readonly exclusiveRun: ExclusiveRun;
  readonly shortages: Pick<ResourceShortages, 'record' | 'over'>;
  /** Releases an attempt's slot while it waits for another task. @returns takes the slot back. */
  readonly lend: (slot: number) => () => void;
  /** The working folder of a session that has no workspace. @throws {NotRemoved} */
  readonly sessionFolder: (sessionId: string, signal: AbortSignal) => Promise<string>;
  /** Removes the files of a run from its slot. If some cannot be removed, the slot is taken out of service. Never rejects. */
  readonly clear: (slot: number) => Promise<void>;
  /** Runs of this worker that have lost their lease, by task. Each promise resolves when the run has ended. */
  readonly endingRuns: Map<string, Promise<unknown>>;
  /** Aborts when running attempts must be returned to the queue. */
  readonly shutdown: AbortSignal;
}
