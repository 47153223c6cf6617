import {
  query,
  type CanUseTool,
  type McpServerStatus,
  type Options,
  type Query,
  type SDKMessage,
  type SessionStore,
  type SpawnOptions,
} from '@anthropic-ai/claude-agent-sdk';
import type { ClaudeEnding, ClaudeMessage } from './ending.js';
import type { Keeper, RunPlace } from './keeper.js';
import { whyNotExecutable } from './executable.js';
import { IdleWatch } from './idle.js';
import type { LargeValues } from './large-values.js';
import { FolderMoved } from './open-folder.js';
import { ClaudeProcess } from './process.js';
import { LASTS_MS, phaseAfter, type Phase, type RunEvent } from './phases.js';
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

/** Runs Claude once, to the end of its process. Never rejects for what Claude does: that is in the ending. @throws {FolderMoved} */
export async function runClaude(run: ClaudeRun): Promise<ClaudeEnding> {
  const missing = run.executable === undefined ? undefined : await whyNotExecutable(run.executable);
  if (missing === undefined) return new Run(run).toEnd();
  await run.warm?.close();
  return { ...missing, stderr: '', stdout: '' };
}

class Run {
  readonly #run: ClaudeRun;
  readonly #reader: StreamReader;
  readonly #idle: IdleWatch;
  readonly #abort = new AbortController();
  #phase: Phase = 'starting';
  #phaseTimer: NodeJS.Timeout | undefined;
  #child: ClaudeProcess | undefined;
  #written = 0;
  /** Whether the run was ended while Claude was at work. */
  #cutShort: boolean | undefined;
  #lingered = false;
  /** Why no process could be started. */
  #notStarted: unknown;

  constructor(run: ClaudeRun) {
    this.#run = run;
    this.#reader = new StreamReader(run.onMessage, run.onText);
    this.#idle = new IdleWatch(run.idleMs, run.onIdle);
  }

  async toEnd(): Promise<ClaudeEnding> {
    const { input, signal, interrupt, warm } = this.#run;
    const stop = (): void => this.#on('stop');
    let failure: Error | undefined;
    signal.addEventListener('abort', stop);
    try {
      signal.throwIfAborted();
      const messages = (await this.#claimed()) ?? this.#started();
      interrupt.addEventListener('abort', () => this.#phase !== 'starting' && this.#interrupt(messages), {
        once: true,
      });
      for await (const said of messages) this.#read(said, messages);
    } catch (error) {
      // After a result this only repeats the result: the SDK throws for its exit code.
      failure = error instanceof Error ? error : new Error(String(error), { cause: error });
    } finally {
      input.end();
      this.#idle.stop();
      clearTimeout(this.#phaseTimer);
      signal.removeEventListener('abort', stop);
      await warm?.close();
      await this.#child?.terminate(KILL_GRACE_MS);
    }
    return this.#ending(failure);
  }

  /** The messages of the process that was started before; undefined: there is none that can be used. */
  async #claimed(): Promise<Query | undefined> {
    const { warm, input, cwd, options, sessionId, transcript, onWarmRefused, signal } = this.#run;
    if (warm === undefined) return undefined;
    const gate = (bytes: number): Promise<void> | undefined => this.#gate(bytes);
    const claim = { prompt: input.messages(), cwd, options, sessionId, transcript, gate };
    const messages = await warm.claim(claim).catch(async (error: unknown) => {
      onWarmRefused?.(error);
      await warm.close();
      return undefined;
    });
    if (messages !== undefined) this.#began(warm.process);
    // The run may have been asked to end meanwhile.
    signal.throwIfAborted();
    return messages;
  }

  #started(): Query {
    const options = optionsOf(this.#run, this.#idle);
    const spawn = (spawning: SpawnOptions): ClaudeProcess => this.#spawn(spawning);
    return query({
      prompt: this.#run.input.messages(),
      options: { ...options, abortController: this.#abort, spawnClaudeCodeProcess: spawn },
    });
  }

  #spawn(options: SpawnOptions): ClaudeProcess {
    const run = this.#run;
    const { CLAUDE_CONFIG_DIR: config } = options.env;
    try {
      if (run.resume && config !== undefined) restoreTranscripts(config, run.large);
      return this.#began(new ClaudeProcess(options, run.keeper, placeOf(run), (bytes) => this.#gate(bytes)));
    } catch (error) {
      this.#notStarted = error;
      throw error;
    }
  }

  #began(child: ClaudeProcess): ClaudeProcess {
    const { large, onStarted } = this.#run;
    this.#child = child;
    large.include(child.large);
    child.stdout.once('end', () => this.#on('output_closed'));
    void child.exited.then(() => this.#on('exited'));
    if (child.pid !== undefined) void child.exited.then(onStarted(child.pid));
    return child;
  }

  /** What to wait for before more is read from Claude. */
  #gate(bytes: number): Promise<void> | undefined {
    const { outputBytes, onTooMuch, gate } = this.#run;
    const before = this.#written;
    this.#written += bytes;
    if (before <= outputBytes && this.#written > outputBytes) onTooMuch();
    return this.#idle.heard(gate());
  }

  #read(said: SDKMessage, messages: Query): void {
    const { warm, sessionId, redaction, interrupt, onSaid, onTurn } = this.#run;
    // A process that was started before began under a session id of its own.
    const mine: ClaudeMessage =
      warm !== undefined && this.#child === warm.process ? { ...said, session_id: sessionId } : said;
    const message = mine.type === 'stream_event' ? mine : redaction.in(mine);
    // Before the first message there is no turn to interrupt.
    if (this.#phase === 'starting' && interrupt.aborted) this.#interrupt(messages);
    this.#on('said');
    onSaid(message);
    const next = this.#reader.read(message);
    // After an interruption nothing that runs in the background is wanted either.
    if (next === 'refused' || (next === 'go_on' && message.type === 'result' && interrupt.aborted)) this.#on('stop');
    if (message.type === 'system' && message['subtype'] === 'init') {
      this.#on('turn_begun');
      onTurn(message, () => messages.mcpServerStatus());
    }
    if (next === 'over' || next === 'settled') this.#on(next);
  }

  /** Ends the turn. A run that cannot be told, or only waits for work in the background, is ended as a whole. */
  #interrupt(messages: Query): void {
    // Claude ends its work in the background with the turn, and may call the turn a success.
    if (this.#reader.working) this.#cutShort = true;
    if (this.#reader.between) this.#on('stop');
    else void messages.interrupt().catch(() => this.#on('stop'));
  }

  #on(event: RunEvent): void {
    const phase = phaseAfter(this.#phase, event);
    if (phase === undefined) return;
    this.#phase = phase;
    clearTimeout(this.#phaseTimer);
    const lastsMs = LASTS_MS[phase];
    if (lastsMs !== undefined) this.#phaseTimer = setTimeout(() => this.#on('time_up'), lastsMs);
    if (phase === 'closing') this.#run.input.end();
    if (phase === 'ending') this.#end(event === 'time_up');
  }

  #end(lingered: boolean): void {
    const { signal, warm } = this.#run;
    this.#lingered = lingered;
    // At its end Claude stops its work in the background.
    this.#cutShort ??= this.#reader.unfinished;
    this.#abort.abort(signal.reason);
    warm?.abort.abort(signal.reason);
    void this.#child?.terminate(KILL_GRACE_MS);
  }

  async #ending(thrown: Error | undefined): Promise<ClaudeEnding> {
    const { executable, transcript, redact } = this.#run;
    const child = this.#child;
    const failure = thrown?.message;
    const shortOf = shortageOf(this.#notStarted) ?? (child === undefined ? shortageOf(thrown) : undefined);
    if (shortOf === undefined && this.#notStarted instanceof FolderMoved) throw this.#notStarted;
    const exit = await child?.exited;
    const start = child === undefined ? notFound(failure, executable) : startOf(child, exit, executable);
    return {
      ...this.#reader.summary(),
      unfinished: this.#cutShort ?? (this.#reader.unfinished && exit?.code !== 0),
      transcriptError: transcript.failure ?? this.#reader.mirrorError,
      ...start,
      ...(shortOf === undefined ? {} : { shortOf }),
      exit,
      lingered: this.#lingered,
      failure: failure === undefined ? undefined : redact(failure),
      stderr: child?.stderrTail.text(redact) ?? '',
      stdout: child?.stdoutTail.text(redact).slice(-2_000) ?? '',
    };
  }
}

/** Thrown by the SDK when its platform package is missing. */
const notFound = (failure: string | undefined, executable: string | undefined): Pick<ClaudeEnding, 'spawnError'> =>
  failure !== undefined && /native binary not found/i.test(failure)
    ? { spawnError: { code: 'ENOENT', message: failure, path: executable ?? 'claude' } }
    : {};

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
