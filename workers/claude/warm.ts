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
import type { Keeper } from './keeper.js';
import { ClaudeProcess } from './process.js';

export interface WarmOptions {
  /** What a task asks that asks for nothing. */
  readonly options: Options;
  readonly folders: SlotFolders;
  readonly env: Readonly<Record<string, string>>;
  readonly executable: string | undefined;
  readonly keeper: Keeper;
}

/** What a run gives to a process that was started before. */
export interface Claim {
  readonly prompt: AsyncIterable<SDKUserMessage>;
  readonly cwd: string;
  readonly options: Options;
  readonly sessionId: string;
  readonly transcript: SessionStore;
  readonly gate: (bytes: number) => Promise<void> | undefined;
}

/** What a process that waits will work with. */
type Bound = { -readonly [K in keyof Claim]?: Claim[K] | undefined };

/** What can be chosen when a process has been started already; all else must be as it was started with. */
const CLAIMED = ['model', 'permissionMode', 'allowedTools'] as const;
/** From a request to end until SIGKILL. */
const KILL_GRACE_MS = 2_000;

/**
 * A process of Claude that waits for the task of a new session (the SDK's `prewarm()`). It has begun under an id of its own: in its
 * messages and its transcript the session's stands instead.
 */
export class WarmClaude {
  readonly abort: AbortController;
  readonly process: ClaudeProcess;
  readonly folders: SlotFolders;
  readonly #spare: SpareProcess;
  readonly #fixed: object;
  readonly #bound: Bound;
  /** Where it waits. */
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
    spare.claimed.catch(() => undefined); // Whoever claims it hears of it.
  }

  /** @throws what the SDK does when it can't be started. */
  static async start(options: WarmOptions): Promise<WarmClaude> {
    const { folders, env, executable, keeper } = options;
    const abort = new AbortController();
    const bound: Bound = {};
    const sessionId = randomUUID();
    const cwd = keeper.kind === 'sandbox' ? join(folders.workspaces, sessionId) : folders.work;
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
            claude = new ClaudeProcess(spawned, keeper, { cwd, source, visible, login }, (bytes) =>
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

  /** It is gone. */
  get dead(): boolean {
    return this.process.exitCode !== null || this.process.signalCode !== null;
  }

  /** Whether it can do what a task asks for. */
  fits(options: Options): boolean {
    return isDeepStrictEqual(fixedOf(options), this.#fixed);
  }

  /** Begins the session. Once. @throws when it refuses; then it has said nothing to anybody, and is let go. */
  async claim(claim: Claim): Promise<Query> {
    await this.#moveTo(claim.cwd);
    Object.assign(this.#bound, claim);
    const { model, permissionMode, allowedTools } = claim.options;
    let accept: () => void = () => undefined;
    const accepted = new Promise<void>((resolve) => (accept = resolve));
    async function* prompt(): AsyncGenerator<SDKUserMessage> {
      // What is said is said once: to this process, or to the one that takes its place.
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
      // Whatever it still notes is no part of the session.
      this.#bound.transcript = undefined;
      throw error;
    }
    accept();
    return query;
  }

  /**
   * Gives the folder that it waits in the name of the session's. In the sandbox that folder is a mount, and only its mount point bears a name:
   * it can be renamed from outside, where it is no mount point.
   * @throws when the session's folder is not an empty one beside all others.
   */
  async #moveTo(cwd: string): Promise<void> {
    const { work, workspaces } = this.folders;
    if (dirname(cwd) !== workspaces) throw new Error(`${cwd} is no session's own folder`);
    await rename(work, cwd);
    if (this.#cwd === work) return;
    const inside = `/proc/${await firstChild(this.process.pid)}/root`;
    await rename(`${inside}${this.#cwd}`, `${inside}${cwd}`);
  }

  /** Resolves when it is gone. */
  async close(): Promise<void> {
    this.abort.abort();
    this.#spare.close();
    await this.process.terminate(KILL_GRACE_MS);
  }
}

/** What of the environment is a place's own. */
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
