import { randomUUID } from 'node:crypto';
import { readFile, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import {
  prewarm,
  type Options,
  type Query,
  type SDKUserMessage,
  type SessionStore,
  type SpareProcess,
} from '@anthropic-ai/claude-agent-sdk';
import type { SlotFolders } from './folders.js';
import type { ContainedLauncher } from './contained-launcher.js';
import { ClaudeProcess } from './process.js';

export interface WarmOptions {
  /** The options of a task that sets none. */
  readonly options: Options;
  readonly folders: SlotFolders;
  readonly env: Readonly<Record<string, string>>;
  readonly executable: string | undefined;
  readonly launcher: ContainedLauncher;
}

/** What a run passes to its warm process. */
export interface Claim {
  readonly prompt: AsyncIterable<SDKUserMessage>;
  readonly cwd: string;
  readonly options: Options;
  readonly sessionId: string;
  readonly transcript: SessionStore;
  readonly gate: (bytes: number) => Promise<void> | undefined;
}

/** The settings with which a warm process starts. */
type Bound = { -readonly [K in keyof Claim]?: Claim[K] | undefined };

/** The options that can change after the start. All others must equal those of the start. */
const CLAIMED = ['model', 'permissionMode', 'allowedTools'] as const;
/** The time from SIGTERM to SIGKILL. */
const KILL_GRACE_MS = 2_000;

/**
 * A Claude process that waits for the task of a new session (the SDK's `prewarm()`). It started with its own session id, which is replaced
 * by the session's in its messages and its transcript.
 */
export class WarmClaude {
  readonly abort: AbortController;
  readonly process: ClaudeProcess;
  readonly folders: SlotFolders;
  readonly #spare: SpareProcess;
  readonly #fixed: object;
  readonly #bound: Bound;
  /** The folders in which the process waits. */
  readonly #cwd: string;

  private constructor(
    spare: SpareProcess,
    claude: ClaudeProcess,
    abort: AbortController,
    bound: Bound,
    options: WarmOptions,
    cwd: string,
  ) {
    this.#spare = spare;
    this.process = claude;
    this.abort = abort;
    this.folders = options.folders;
    this.#fixed = fixedOf(options.options);
    this.#bound = bound;
    this.#cwd = cwd;
    spare.claimed.catch(() => undefined); // The claimer receives the error.
  }

  /** @throws the SDK's error when the process cannot be started. */
  static async start(options: WarmOptions): Promise<WarmClaude> {
    const { folders, env, executable, launcher } = options;
    const abort = new AbortController();
    const bound: Bound = {};
    const sessionId = randomUUID();
    const cwd = launcher.kind === 'sandbox' ? join(folders.workspaces, sessionId) : folders.work;
    let claude: ClaudeProcess | undefined;
    const sessionStore: SessionStore = {
      load: () => Promise.resolve(null),
      append: async (key, entries) => {
        const { transcript, sessionId } = bound;
        const ofSession = entries.map((entry) => ('sessionId' in entry ? { ...entry, sessionId } : entry));
        await transcript?.append({ ...key, ...(sessionId === undefined ? {} : { sessionId }) }, ofSession);
      },
    };
    try {
      const spare = await prewarm({
        options: {
          ...options.options,
          abortController: abort,
          cwd,
          env: environmentOf(env, folders),
          sessionId,
          sessionStore,
          ...(executable === undefined ? {} : { pathToClaudeCodeExecutable: executable }),
          spawnClaudeCodeProcess: (spawned) => {
            const { work: source, visible, login } = folders;
            claude = new ClaudeProcess(spawned, launcher, { cwd, source, visible, login }, (bytes) =>
              bound.gate?.(bytes),
            );
            return claude;
          },
        },
      });
      if (claude === undefined) throw new Error('the SDK started no process');
      return new WarmClaude(spare, claude, abort, bound, options, cwd);
    } catch (error) {
      await claude?.terminate(KILL_GRACE_MS);
      throw error;
    }
  }

  /** The process has ended. */
  get dead(): boolean {
    return this.process.exitCode !== null || this.process.signalCode !== null;
  }

  /** Whether the process fits a task's options. */
  fits(options: Options): boolean {
    return isDeepStrictEqual(fixedOf(options), this.#fixed);
  }

  /** Begins the session. Call it once. @throws when the process refuses. It has then published nothing; close it. */
  async claim(claim: Claim): Promise<Query> {
    await this.#moveTo(claim.cwd);
    Object.assign(this.#bound, claim);
    const { model, permissionMode, allowedTools } = claim.options;
    let accept: () => void = () => undefined;
    const accepted = new Promise<void>((resolve) => (accept = resolve));
    async function* prompt(): AsyncGenerator<SDKUserMessage> {
      // Each message is sent once: to this process, or to its replacement.
      await accepted;
      yield* claim.prompt;
    }
    const query = this.#spare.claim({
      prompt: prompt(),
      options: {
        cwd: claim.cwd,
        ...(model === undefined ? {} : { model }),
        ...(permissionMode === undefined ? {} : { permissionMode }),
        ...(allowedTools === undefined ? {} : { settings: { permissions: { allow: allowedTools } } }),
      },
    });
    try {
      await this.#spare.claimed;
    } catch (error) {
      // Its later entries are not part of the session.
      this.#bound.transcript = undefined;
      throw error;
    }
    accept();
    return query;
  }

  /**
   * Renames the folder in which the process waits to the session's folder. In the sandbox that folder is a mount, and the name belongs to the
   * mount point, which can only be renamed from outside.
   * @throws when the session's folder is not an empty folder beside those of other sessions.
   */
  async #moveTo(cwd: string): Promise<void> {
    const { work, workspaces } = this.folders;
    if (dirname(cwd) !== workspaces) throw new Error(`${cwd} is no session's own folder`);
    await rename(work, cwd);
    if (this.#cwd === work) return;
    const inside = `/proc/${await firstChild(this.process.pid)}/root`;
    await rename(`${inside}${this.#cwd}`, `${inside}${cwd}`);
  }

  /** Ends the process. Resolves when it has ended. */
  async close(): Promise<void> {
    this.abort.abort();
    this.#spare.close();
    await this.process.terminate(KILL_GRACE_MS);
  }
}

/** Adds a slot's own variables to the environment. */
export const environmentOf = (
  env: Readonly<Record<string, string>>,
  { home, config, tmp, workspaces }: SlotFolders,
): Record<string, string> => ({
  ...env,
  HOME: home,
  CLAUDE_CONFIG_DIR: config,
  CLAUDE_CODE_TMPDIR: tmp,
  // Git in a session's own folder must not find a repository that contains KSI_DIR.
  GIT_CEILING_DIRECTORIES: workspaces,
});

/** bubblewrap itself stays outside the sandbox that it makes. */
async function firstChild(pid: number | undefined): Promise<string> {
  const [child = ''] = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).split(' ');
  if (child === '') throw new Error('the process is gone');
  return child;
}

const fixedOf = (options: Options): object =>
  Object.fromEntries(Object.entries(options).filter(([name]) => !CLAIMED.some((each) => each === name)));
