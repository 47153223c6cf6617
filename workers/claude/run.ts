import {
  query,
  type CanUseTool,
  type McpServerStatus,
  type Options,
  type Query,
  type SDKMessage,
  type SessionStore,
} from '@anthropic-ai/claude-agent-sdk';
import type { ClaudeEnding, ClaudeMessage } from './ending.js';
import type { Keeper, RunPlace } from './keeper.js';
import { whyNotExecutable } from './executable.js';
import { IdleWatch } from './idle.js';
import type { LargeValues } from './large-values.js';
import { FolderMoved } from './open-folder.js';
import { ClaudeProcess } from './process.js';
import type { PromptInput } from './prompt-input.js';
import type { Redaction } from './redaction.js';
import { restoreTranscripts } from './restore-files.js';
import { shortageOf } from './shortage-of.js';
import type { Login } from './sandbox.js';
import { startOf } from './start-failure.js';
import { StreamReader } from './stream-reader.js';
import type { WarmClaude } from './warm.js';

export interface ClaudeRun {
  readonly input: PromptInput;
  readonly sessionId: string;
  /** Whether the transcript has the session already; without, it is begun under that id. */
  readonly resume: boolean;
  readonly transcript: SessionStore & { readonly failure: string | undefined };
  /** What the task asks of Claude. */
  readonly options: Options;
  /** Asked for what needs permission; undefined: it is denied at once. */
  readonly ask: CanUseTool | undefined;
  readonly cwd: string;
  /** Claude may not write in `cwd`. */
  readonly readOnly: boolean;
  /** Paths beside `cwd` that Claude may write: its slot. */
  readonly visible: readonly string[];
  readonly login: Login | undefined;
  readonly env: Readonly<Record<string, string>>;
  /** Default: the one that the SDK brings. */
  readonly executable: string | undefined;
  readonly keeper: Keeper;
  /** One that was started before, for a session that it begins. */
  readonly warm?: WarmClaude | undefined;
  /** Called when that one can't be had after all: another one is started. */
  readonly onWarmRefused?: (error: unknown) => void;
  /** Each message as it comes in: deltas and results too. */
  readonly onSaid: (message: ClaudeMessage) => void;
  /** Each complete message but the last result, in order. */
  readonly onMessage: (message: ClaudeMessage) => void;
  readonly onText: (text: string) => void;
  /** Called at the beginning of each turn. */
  readonly onTurn: (init: ClaudeMessage, askServers: () => Promise<McpServerStatus[]>) => void;
  /** What to wait for before more is read from Claude. */
  readonly gate: () => Promise<void> | undefined;
  readonly redact: (text: string) => string;
  readonly redaction: Pick<Redaction, 'in'>;
  /** What is taken out of Claude's messages as it is large; what is out of the transcript that it resumes from is put back. */
  readonly large: LargeValues;
  /** Longest silence of its stream; `onIdle` is called then. */
  readonly idleMs: number;
  readonly onIdle: () => void;
  /** What it may write to its stream, in bytes; `onTooMuch` is called once, past it. */
  readonly outputBytes: number;
  readonly onTooMuch: () => void;
  /** Called with the first process that it starts. @returns what to call when that has ended. */
  readonly onStarted: (pid: number) => () => void;
  /** Asks Claude to end its turn itself. */
  readonly interrupt: AbortSignal;
  /** Ends the run: SIGTERM, a grace, SIGKILL, to the whole process group. */
  readonly signal: AbortSignal;
}

/** From a request to end until SIGKILL. */
const KILL_GRACE_MS = 2_000;
/** From the result, and the end of its input, until a process that doesn't exit is ended. */
const EXIT_GRACE_MS = 5_000;

/** Runs Claude once, to the end of its process. Never rejects for what Claude does: that is in the ending. @throws {FolderMoved} */
export async function runClaude(run: ClaudeRun): Promise<ClaudeEnding> {
  const missing = run.executable === undefined ? undefined : await whyNotExecutable(run.executable);
  if (missing !== undefined) {
    await run.warm?.close();
    return { ...missing, stderr: '', stdout: '' };
  }
  const { input } = run;
  const reader = new StreamReader(run.onMessage, run.onText);
  const abort = new AbortController();
  let child: ClaudeProcess | undefined;
  const idle = new IdleWatch(run.idleMs, run.onIdle);
  let written = 0;
  const watched = (bytes: number): Promise<void> | undefined => {
    const before = written;
    written += bytes;
    if (before <= run.outputBytes && written > run.outputBytes) run.onTooMuch();
    return idle.heard(run.gate());
  };
  let lingering: NodeJS.Timeout | undefined;
  let closed: NodeJS.Timeout | undefined;
  let lingered = false;
  let begun = false;
  let cutShort: boolean | undefined;
  const end = (): void => {
    // At its end Claude lets go of what runs in the background.
    cutShort ??= reader.unfinished;
    abort.abort(run.signal.reason);
    run.warm?.abort.abort(run.signal.reason);
    void child?.terminate(KILL_GRACE_MS);
  };
  const tooLong = (): void => {
    lingered = true;
    end();
  };
  run.signal.addEventListener('abort', end);
  let failure: string | undefined;
  let notStarted: unknown;
  let shortOf: string | undefined;
  let notFound: ClaudeEnding['spawnError'];
  try {
    run.signal.throwIfAborted();
    const began = (started: ClaudeProcess): ClaudeProcess => {
      child = started;
      run.large.include(started.large);
      // Nothing more can come from it: its exit is waited for as after its result.
      child.stdout.once('end', () => (closed = setTimeout(tooLong, EXIT_GRACE_MS)));
      void child.exited.then(() => clearTimeout(closed));
      if (child.pid !== undefined) void child.exited.then(run.onStarted(child.pid));
      return child;
    };
    const warm = await claimed(run, watched);
    if (warm !== undefined) began(warm.claude.process);
    // It may have been asked to end while it was claimed.
    run.signal.throwIfAborted();
    const messages =
      warm?.messages ??
      query({
        prompt: input.messages(),
        options: {
          ...optionsOf(run, idle),
          abortController: abort,
          spawnClaudeCodeProcess: (options) => {
            try {
              const { CLAUDE_CONFIG_DIR: config } = options.env;
              if (run.resume && config !== undefined) restoreTranscripts(config, run.large);
              return began(new ClaudeProcess(options, run.keeper, placeOf(run), watched));
            } catch (error) {
              notStarted = error;
              shortOf = shortageOf(error);
              throw error;
            }
          },
        },
      });
    // One that can't be told is ended; so is one that only waits for what runs in the background.
    const interrupt = (): void => {
      // With its turn Claude ends what runs in the background, and may call the turn a success.
      if (reader.working) cutShort = true;
      if (reader.between) end();
      else void messages.interrupt().catch(end);
    };
    const linger = (): void => {
      input.end();
      lingering = setTimeout(tooLong, EXIT_GRACE_MS);
    };
    run.interrupt.addEventListener('abort', () => begun && interrupt(), { once: true });
    for await (const said of messages) {
      const mine = warm === undefined ? said : ofSession(said, run.sessionId);
      const message: ClaudeMessage = mine.type === 'stream_event' ? mine : run.redaction.in(mine);
      // Before its turn has begun there is nothing that it could interrupt.
      if (!begun && run.interrupt.aborted) interrupt();
      begun = true;
      run.onSaid(message);
      const next = reader.read(message);
      // Who interrupts it doesn't want what runs in the background either.
      if (next === 'refused' || (next === 'go_on' && message.type === 'result' && run.interrupt.aborted)) end();
      // What came in too late for a turn makes another one; so does what ended in the background.
      if (message.type === 'system' && message['subtype'] === 'init') {
        clearTimeout(lingering);
        run.onTurn(message, () => messages.mcpServerStatus());
      }
      if (next !== 'over' && next !== 'settled') continue;
      clearTimeout(lingering);
      if (next === 'over') linger();
      else lingering = setTimeout(linger, EXIT_GRACE_MS);
    }
  } catch (error) {
    // After a result it only repeats that (the SDK throws for its exit code).
    failure = error instanceof Error ? error.message : String(error);
    if (child === undefined) shortOf ??= shortageOf(error);
    // Thrown by the SDK when its platform package is missing.
    if (child === undefined && /native binary not found/i.test(failure))
      notFound = { code: 'ENOENT', message: failure, path: run.executable ?? 'claude' };
  } finally {
    input.end();
    idle.stop();
    clearTimeout(lingering);
    run.signal.removeEventListener('abort', end);
    await run.warm?.close();
    await child?.terminate(KILL_GRACE_MS);
  }
  if (shortOf === undefined && notStarted instanceof FolderMoved) throw notStarted;
  const exit = await child?.exited;
  const started = child === undefined ? {} : startOf(child, exit, run.executable);
  return {
    ...reader.summary(),
    unfinished: cutShort ?? (reader.unfinished && exit?.code !== 0),
    transcriptError: run.transcript.failure ?? reader.mirrorError,
    shortOf: shortOf ?? started.shortOf,
    spawnError: started.spawnError ?? notFound,
    exit,
    lingered,
    failure: failure === undefined ? undefined : run.redact(failure),
    stderr: run.redact(child?.stderrTail.text() ?? ''),
    stdout: run.redact(child?.stdoutTail.text() ?? '').slice(-2_000),
  };
}

/** The process that was started before, at work; undefined: there is none that would. */
async function claimed(
  run: ClaudeRun,
  gate: (bytes: number) => Promise<void> | undefined,
): Promise<{ claude: WarmClaude; messages: Query } | undefined> {
  const { warm, input, cwd, options, sessionId, transcript, onWarmRefused } = run;
  if (warm === undefined) return undefined;
  try {
    const prompt = input.messages();
    return { claude: warm, messages: await warm.claim({ prompt, cwd, options, sessionId, transcript, gate }) };
  } catch (error) {
    onWarmRefused?.(error);
    await warm.close();
    return undefined;
  }
}

/** It began under an id of its own. */
const ofSession = (message: SDKMessage, sessionId: string): ClaudeMessage => ({ ...message, session_id: sessionId });

const placeOf = ({ cwd, readOnly, visible, login }: ClaudeRun): RunPlace => ({ cwd, readOnly, visible, login });

const optionsOf = (run: ClaudeRun, idle: IdleWatch): Options => ({
  ...run.options,
  ...(run.ask === undefined ? {} : { canUseTool: askingWith(run.ask, idle) }),
  cwd: run.cwd,
  env: { ...run.env },
  ...(run.resume ? { resume: run.sessionId } : { sessionId: run.sessionId }),
  sessionStore: run.transcript,
  ...(run.executable === undefined ? {} : { pathToClaudeCodeExecutable: run.executable }),
});

/** While somebody is asked, it is not Claude that is silent. */
const askingWith =
  (ask: CanUseTool, idle: IdleWatch): CanUseTool =>
  (...question) => {
    const answer = ask(...question);
    idle.hold(answer);
    return answer;
  };
