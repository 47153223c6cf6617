import type { ApprovalAnswer } from '../../contracts/approvals.js';
import type { ControlAnswer } from '../../contracts/control.js';
import type { SpawnCommand } from '../../contracts/spawn.js';
import type { ClaudeEnding } from '../claude/ending.js';
import { redactor } from '../claude/environment.js';
import { costStateOf, usageOf } from '../claude/cost.js';
import { promptContent } from '../claude/prompt.js';
import { PromptInput } from '../claude/prompt-input.js';
import { Redaction } from '../claude/redaction.js';
import { queryOptions } from '../claude/query-options.js';
import { Transcript, transcriptEnd } from '../claude/transcripts.js';
import { whileUnavailable } from '../certain.js';
import type { WorkerContext } from '../context.js';
import { outcomeOf, taskError, type Outcome } from '../outcome.js';
import type { EffectivePolicy } from '../policy.js';
import { Approvals } from './approvals.js';
import type { Claim } from './claim.js';
import type { TaskIdentity } from './command.js';
import type { AttemptEvents } from './events.js';
import type { Lease } from './lease.js';
import { Hands } from '../hands/hands.js';
import { handsServer } from '../hands/server.js';
import { LiveText } from './live.js';
import { TaskFault } from './fault.js';
import { folderOf } from './folder.js';
import { forkTranscript } from './fork.js';
import { configureServers } from './servers.js';
import { Stopped, type StopReason } from './stop.js';
import { toolsFor, type ClaudeTools } from './tools.js';

export interface AttemptOptions {
  readonly context: WorkerContext;
  readonly slot: number;
  readonly lease: Lease;
  readonly command: SpawnCommand;
  readonly policy: EffectivePolicy;
  readonly identity: TaskIdentity;
  readonly claim: Claim;
  readonly events: AttemptEvents;
}

const FAULTS = ['timeout', 'idle', 'memory', 'output'] as const;
const isFault = (reason: StopReason): reason is (typeof FAULTS)[number] =>
  (FAULTS as readonly string[]).includes(reason);

/** One run of Claude for a task, and what may stop it: its lease, the worker's end, its policy, and whoever asks. */
export class Attempt {
  readonly #options: AttemptOptions;
  readonly #stop = new AbortController();
  readonly #interrupt = new AbortController();
  readonly #input: PromptInput;
  readonly #redaction: Redaction;
  #approvals: Approvals | undefined;
  /** What Claude had counted in the session. */
  #costBefore: ReturnType<typeof costStateOf>;
  #cancelled: Promise<void> | undefined;

  constructor(options: AttemptOptions) {
    this.#options = options;
    this.#redaction = new Redaction(options.context.environment.credentials);
    this.#input = new PromptInput(promptContent(options.command.prompt, options.command.attachments));
  }

  /** Settles when the cancellation that was asked for is stored, as the outcome; undefined when nobody asked. */
  get cancelled(): Promise<void> | undefined {
    return this.#cancelled;
  }

  /**
   * Makes SPAWN_CANCELLED the outcome, at once, and then ends the processes: nobody waits for those to hear of it.
   * @returns false when there was an outcome already. @throws {Stopped} when the attempt has lost its lease.
   */
  async cancel(by: string | undefined): Promise<boolean> {
    if (this.#cancelled === undefined) {
      if (this.#options.events.ended) return false;
      this.#cancelled = this.#options.events.cancelled(by);
      this.#stop.abort(new Stopped('cancelled'));
    }
    await this.#cancelled;
    return true;
  }

  /** Asks Claude to end its turn, in its own way. @returns false when there was an outcome already. */
  interrupt(): boolean {
    if (this.#options.events.ended) return false;
    this.#interrupt.abort(new Stopped('interrupted'));
    return true;
  }

  /** Says more to Claude while it works. @returns false when its last turn is over. */
  input(text: string): boolean {
    return !this.#options.events.ended && this.#input.say(text);
  }

  /** Answers what Claude wants to be allowed. @throws {Stopped} when the attempt has lost its lease. */
  approve(id: string, answer: ApprovalAnswer, by: string | undefined): Promise<ControlAnswer> {
    if (this.#options.events.ended) return Promise.resolve({ ok: false, error: 'ended' });
    const unknown = { ok: false, error: 'unknown_approval' } as const;
    return this.#approvals?.answer(id, answer, by) ?? Promise.resolve(unknown);
  }

  /** Runs Claude. @throws when the lease is lost. */
  async run(): Promise<Outcome> {
    const { context, lease, identity, claim, policy } = this.#options;
    const forgetTimeout = context.broker.clock.after(policy.timeoutMs, () => this.#stop.abort(new Stopped('timeout')));
    const live = new LiveText(context.broker, identity, claim.attempt, this.#redaction);
    try {
      const ending = await this.#runClaude(live);
      if (ending.limitResetsAt !== undefined) context.onUsageLimit(ending.limitResetsAt);
      const outcome = outcomeOf({ ...ending, stopped: this.#fault(), interrupted: this.#interrupt.signal.aborted });
      return { ...outcome, usage: usageOf(ending.result, this.#costBefore) };
    } catch (error) {
      lease.signal.throwIfAborted();
      if (error instanceof TaskFault) return { kind: 'failed', error: taskError(error.code, error.message) };
      context.log.error({ err: error }, 'running Claude failed');
      return { kind: 'failed', error: taskError('internal', error instanceof Error ? error.message : String(error)) };
    } finally {
      this.#approvals?.stop();
      forgetTimeout();
      live.stop();
      await this.#clear();
    }
  }

  /** What the run has left on the disk goes with it. Never rejects. */
  async #clear(): Promise<void> {
    const { context, slot } = this.#options;
    try {
      await context.folders.clear(slot);
    } catch (error) {
      context.log.error(
        { err: error },
        'what a run has left could not be removed; the next one in its place will try again',
      );
    }
  }

  async #runClaude(live: LiveText): Promise<ClaudeEnding> {
    const { context, slot, lease, command, policy, claim, events } = this.#options;
    const {
      broker,
      blobs,
      folders,
      workspaces,
      toolPolicy,
      mcpServers,
      environment,
      keeper,
      limits,
      memory,
      shutdown,
    } = context;
    const { signal } = lease;
    const redaction = this.#redaction;
    const { config, home, tmp, mcpConfig } = await folders.slot(slot);
    const { session_id: sessionId, owner } = command;
    const transcript = new Transcript({ broker, blobs, sessionId, owner, ...claim.transcript, redaction, signal });
    const begun = await transcript.exists();
    const { path: cwd, workspace } = await folderOf(command, transcript, begun, { folders, workspaces });
    const resume = begun || (await this.#forked(transcript, cwd));
    this.#costBefore = costStateOf((await transcript.load({ projectKey: '', sessionId })) ?? []);
    const servers = await configureServers(command, mcpServers.current, mcpConfig);
    redaction.also(servers.credentials);
    const tools = toolsFor(command, workspace, toolPolicy.current);
    const stopping = AbortSignal.any([signal, shutdown, this.#stop.signal]);
    const hands = await this.#hands(tools, stopping);
    lease.throwIfLost();
    return context.runClaude({
      input: this.#input,
      sessionId,
      resume,
      transcript,
      options: queryOptions({ asked: command, defaultModel: context.model, tools, mcpConfig: servers.file, hands }),
      ask: this.#asking(tools),
      cwd,
      env: { ...environment.env, HOME: home, CLAUDE_CONFIG_DIR: config, CLAUDE_CODE_TMPDIR: tmp },
      executable: context.executable,
      keeper,
      onMessage: (message) => {
        live.complete(message);
        events.message(message);
      },
      onText: (text) => live.add(text),
      gate: () => events.room(),
      redact: redactor([...environment.secrets, ...servers.secrets]),
      redaction,
      idleMs: policy.idleTimeoutMs,
      onIdle: () => this.#stop.abort(new Stopped('idle')),
      outputBytes: limits.outputBytes,
      onTooMuch: () => this.#stop.abort(new Stopped('output')),
      onStarted: (pid) => memory.watch(pid, limits.memoryBytes, () => this.#stop.abort(new Stopped('memory'))),
      interrupt: this.#interrupt.signal,
      signal: stopping,
    });
  }

  #hands(
    { hands: tools }: ClaudeTools,
    signal: AbortSignal,
  ): Promise<Awaited<ReturnType<typeof handsServer>> | undefined> {
    if (tools.length === 0) return Promise.resolve(undefined);
    const { broker, process, log } = this.#options.context;
    const { task_id: taskId } = this.#options.command;
    return handsServer(new Hands({ broker, process, taskId, signal, log }), tools);
  }

  #asking(tools: ClaudeTools): Approvals['ask'] | undefined {
    const { context, command, claim, events } = this.#options;
    const { task_id: taskId, approvals = false, approval_timeout_s: timeoutS = 600 } = command;
    if (!approvals) return undefined;
    const { attempt } = claim;
    const { clock } = context.broker;
    const redaction = this.#redaction;
    this.#approvals = new Approvals({ taskId, attempt, timeoutMs: timeoutS * 1_000, events, clock, tools, redaction });
    return this.#approvals.ask;
  }

  /** @returns whether the session goes on from another one, as it was asked to. */
  async #forked(transcript: Transcript, cwd: string): Promise<boolean> {
    const { context, lease, command } = this.#options;
    const { fork_of: from, session_id: sessionId, owner } = command;
    if (from === undefined) return false;
    const { broker, blobs } = context;
    const { signal } = lease;
    const end = await whileUnavailable(broker, signal, () => transcriptEnd(broker, from));
    const source = new Transcript({
      broker,
      blobs,
      sessionId: from,
      owner,
      ...end,
      redaction: this.#redaction,
      signal,
    });
    await forkTranscript({ sessionId: from, transcript: source }, { sessionId, transcript }, cwd);
    transcript.settle();
    return true;
  }

  /** Which fault of its own it was stopped for. */
  #fault(): ClaudeEnding['stopped'] {
    const stopped: unknown = this.#stop.signal.reason;
    const reason = stopped instanceof Stopped ? stopped.reason : undefined;
    return reason !== undefined && isFault(reason) ? reason : undefined;
  }
}
