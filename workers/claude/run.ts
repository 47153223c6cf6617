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
import type { ContainedLauncher, RunPlace } from './contained-launcher.js';
import { executableFault } from './executable.js';
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
import { defined } from '../../src/defined.js';

export interface ClaudeRun {
  readonly input: PromptInput;
  readonly sessionId: string;
  /** The transcript has entries from which Claude continues. Otherwise a session with this id begins. */
  readonly resume: boolean;
  readonly transcript: SessionStore & { readonly failure: string | undefined };
  /** The task's options. */
  readonly options: Options;
  /** Answers permission requests. Undefined: they are denied at once. */
  readonly ask: CanUseTool | undefined;
  readonly cwd: string;
  /** Claude may not write in `cwd`. */
  readonly readOnly: boolean;
  /** Paths beside `cwd` that Claude may write: those of its slot. */
  readonly visible: readonly string[];
  readonly login: Login | undefined;
  readonly env: Readonly<Record<string, string>>;
  /** Default: the SDK's own executable. */
  readonly executable: string | undefined;
  readonly launcher: ContainedLauncher;
  /** A warm process for a new session. */
  readonly warm?: WarmClaude | undefined;
  /** Called when the warm process cannot be used. Another process is then started. */
  readonly onWarmRefused?: (error: unknown) => void;
  /** Receives each message as it arrives, including deltas and results. */
  readonly onSaid: (message: ClaudeMessage) => void;
  /** Receives each complete message except the last result, in order. */
  readonly onMessage: (message: ClaudeMessage) => void;
  readonly onText: (text: string) => void;
  /** Called at the start of each turn. */
  readonly onTurn: (init: ClaudeMessage, askServers: () => Promise<McpServerStatus[]>) => void;
  /** Reading from Claude continues when the promise resolves. Undefined: at once. */
  readonly gate: () => Promise<void> | undefined;
  readonly redact: (text: string) => string;
  readonly redaction: Pick<Redaction, 'in'>;
  /** Receives the large values of Claude's messages, and restores those of the transcript that Claude resumes from. */
  readonly large: LargeValues;
  /** The longest silence of Claude's stream. Then `onIdle` is called. */
  readonly idleMs: number;
  readonly onIdle: () => void;
  /** The most bytes that Claude may write to its stream. Beyond them, `onTooMuch` is called once. */
  readonly outputBytes: number;
  readonly onTooMuch: () => void;
  /** Called with the run's first process. @returns called when that process has ended. */
  readonly onStarted: (pid: number) => () => void;
  /** Aborts to make Claude end its turn by itself. */
  readonly interrupt: AbortSignal;
  /** Aborts to end the run: SIGTERM to the whole process group, then SIGKILL. */
  readonly signal: AbortSignal;
}

/** The time from SIGTERM to SIGKILL. */
const KILL_GRACE_MS = 2_000;

/** Runs Claude until its process ends. Claude's failures are in the returned ending. @throws {FolderMoved} */
export async function runClaude(run: ClaudeRun): Promise<ClaudeEnding> {
  const missing = run.executable === undefined ? undefined : await executableFault(run.executable);
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
  /** Whether the run was ended while Claude was working. */
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
      for await (const received of messages) this.#read(received, messages);
    } catch (error) {
      // After a result this adds nothing: the SDK throws for the exit code.
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

  /** The messages of the warm process. Undefined: there is none, or it cannot be used. */
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
    // The run may have been stopped meanwhile.
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
      return this.#began(new ClaudeProcess(options, run.launcher, placeOf(run), (bytes) => this.#gate(bytes)));
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

  /** Counts Claude's output, and delays reading while events wait. */
  #gate(bytes: number): Promise<void> | undefined {
    const { outputBytes, onTooMuch, gate } = this.#run;
    const before = this.#written;
    this.#written += bytes;
    if (before <= outputBytes && this.#written > outputBytes) onTooMuch();
    return this.#idle.onOutput(gate());
  }

  #read(received: SDKMessage, messages: Query): void {
    const { warm, sessionId, redaction, interrupt, onSaid, onTurn } = this.#run;
    // A warm process started with another session id.
    const mine: ClaudeMessage =
      warm !== undefined && this.#child === warm.process ? { ...received, session_id: sessionId } : received;
    const message = mine.type === 'stream_event' ? mine : redaction.in(mine);
    // Before the first message there is no turn to interrupt.
    if (this.#phase === 'starting' && interrupt.aborted) this.#interrupt(messages);
    this.#on('said');
    onSaid(message);
    const next = this.#reader.read(message);
    // An interruption ends background work too.
    if (next === 'refused' || (next === 'go_on' && message.type === 'result' && interrupt.aborted)) this.#on('stop');
    if (message.type === 'system' && message['subtype'] === 'init') {
      this.#on('turn_begun');
      onTurn(message, () => messages.mcpServerStatus());
    }
    if (next === 'over' || next === 'settled') this.#on(next);
  }

  /** Ends the turn. Ends the whole run if Claude cannot be reached or only waits for background work. */
  #interrupt(messages: Query): void {
    // Claude ends background work with the turn, and may report the turn as a success.
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
    // When Claude ends, it stops its background work.
    this.#cutShort ??= this.#reader.unfinished;
    this.#abort.abort(signal.reason);
    warm?.abort.abort(signal.reason);
    void this.#child?.terminate(KILL_GRACE_MS);
  }

  async #ending(thrown: Error | undefined): Promise<ClaudeEnding> {
    const { executable, transcript, redact } = this.#run;
    const child = this.#child;
    const failure = thrown?.message;
    const shortage = shortageOf(this.#notStarted) ?? (child === undefined ? shortageOf(thrown) : undefined);
    if (shortage === undefined && this.#notStarted instanceof FolderMoved) throw this.#notStarted;
    const exit = await child?.exited;
    const start = child === undefined ? notFound(failure, executable) : startOf(child, exit, executable);
    return defined({
      ...this.#reader.summary(),
      unfinished: this.#cutShort ?? (this.#reader.unfinished && exit?.code !== 0),
      transcriptError: transcript.failure ?? this.#reader.mirrorError,
      ...start,
      ...(shortage === undefined ? {} : { shortage: shortage }),
      exit,
      lingered: this.#lingered,
      failure: failure === undefined ? undefined : redact(failure),
      stderr: child?.stderrTail.text(redact) ?? '',
      stdout: child?.stdoutTail.text(redact).slice(-2_000) ?? '',
    });
  }
}

/** The SDK throws this when its platform package is missing. */
const notFound = (failure: string | undefined, executable: string | undefined): Pick<ClaudeEnding, 'spawnError'> =>
  failure !== undefined && /native binary not found/i.test(failure)
    ? { spawnError: { code: 'ENOENT', message: failure, path: executable ?? 'claude' } }
    : {};

const placeOf = ({ cwd, readOnly, visible, login }: ClaudeRun): RunPlace => ({ cwd, readOnly, visible, login });

const optionsOf = (run: ClaudeRun, idle: IdleWatch): Options =>
  defined({
    ...run.options,
    ...(run.ask === undefined ? {} : { canUseTool: askingWith(run.ask, idle) }),
    cwd: run.cwd,
    env: { ...run.env },
    ...(run.resume ? { resume: run.sessionId } : { sessionId: run.sessionId }),
    sessionStore: run.transcript,
    ...(run.executable === undefined ? {} : { pathToClaudeCodeExecutable: run.executable }),
  });

/** The time in which a person answers does not count as Claude's silence. */
const askingWith =
  (ask: CanUseTool, idle: IdleWatch): CanUseTool =>
  (...question) => {
    const answer = ask(...question);
    idle.hold(answer);
    return answer;
  };
