import type { McpServerStatus } from '@anthropic-ai/claude-agent-sdk';
import type { ApprovalAnswer } from '../../contracts/tasks/approvals.js';
import type { ControlAnswer } from '../../contracts/tasks/control.js';
import type { SpawnCommand } from '../../contracts/tasks/spawn.js';
import type { ClaudeEnding, ClaudeMessage } from '../claude/ending.js';
import { redactor } from '../claude/environment.js';
import { NotRemoved } from '../claude/folders.js';
import { CostMeter, costStateOf, type Counted } from '../claude/cost.js';
import { FolderMoved } from '../claude/open-folder.js';
import { promptContent } from '../claude/prompt.js';
import { PromptInput } from '../claude/prompt-input.js';
import type { LargeValues } from '../claude/large-values.js';
import type { Redaction } from '../claude/redaction.js';
import { queryOptions } from '../claude/query-options.js';
import { serverStates } from '../claude/server-states.js';
import { Transcript, transcriptEnd } from '../claude/transcripts.js';
import { environmentOf } from '../claude/warm.js';
import { sleep } from '../../src/clock.js';
import { whileUnavailable } from '../../src/broker/certain.js';
import type { WorkerContext } from './context.js';
import { limitOf, outcomeOf, taskError, type Outcome } from './outcome.js';
import { plausibleReset } from '../queue/usage-limit.js';
import type { EffectivePolicy } from './policy.js';
import { shortageOf } from '../claude/shortage-of.js';
import { Approvals } from './approvals.js';
import { budgetNow } from './budget.js';
import type { Claim } from './claim.js';
import type { TaskIdentity } from '../../src/broker/task-states.js';
import type { AttemptEvents } from './events.js';
import type { Lease } from './lease.js';
import { Hands } from '../hands/hands.js';
import { handsServer } from '../hands/server.js';
import { LiveText } from './live.js';
import { TaskFault } from './fault.js';
import { folderOf } from './folder.js';
import { forkTranscript } from './fork.js';
import { checkOutput } from './check-output.js';
import { Plan } from './plan.js';
import { readInputs } from './inputs.js';
import { configureServers, type ConfiguredServers } from './servers.js';
import { TimeLimit } from './time-limit.js';
import { refuseForeignSession } from './session-owner.js';
import { Stopped, type StopReason } from './stop.js';
import type { ClaudeTools } from '../claude/tools.js';
import { toolsFor } from './tools.js';
import type { WorkspacePlace } from './workspace-place.js';

export interface AttemptOptions {
  readonly context: WorkerContext;
  readonly slot: number;
  readonly lease: Lease;
  readonly command: SpawnCommand;
  readonly policy: EffectivePolicy;
  readonly identity: TaskIdentity;
  readonly claim: Claim;
  readonly events: AttemptEvents;
  readonly redaction: Redaction;
  /** Where it writes in a workspace that others write in too. */
  readonly place: WorkspacePlace | undefined;
}

/** How long a cancelled attempt waits for what Claude says at its end that it took: shorter than an API waits for the worker. */
const LAST_FIGURES_MS = 400;

const FAULTS = ['timeout', 'idle', 'memory', 'output'] as const;
const isFault = (reason: StopReason): reason is (typeof FAULTS)[number] =>
  (FAULTS as readonly string[]).includes(reason);

/** One run of Claude for a task, and what may stop it: its lease, the worker's end, its policy, and whoever asks. */
export class Attempt {
  readonly #options: AttemptOptions;
  readonly #stop = new AbortController();
  readonly #interrupt = new AbortController();
  /** Aborts when Claude has ended. */
  readonly #over = new AbortController();
  readonly #input: PromptInput;
  readonly #redaction: Redaction;
  #approvals: Approvals | undefined;
  readonly #plan: Plan;
  #limit: TimeLimit | undefined;
  #serversHeard: Promise<void> | undefined;
  #serverFault: TaskFault | undefined;
  /** Undefined: Claude has not been started. */
  #cost: CostMeter | undefined;
  #cancelled: Promise<void> | undefined;

  constructor(options: AttemptOptions) {
    this.#options = options;
    this.#redaction = options.redaction;
    this.#plan = new Plan((text) => options.events.large.restoreText(text, options.redaction));
    this.#input = new PromptInput(promptContent(options.command.prompt, options.command.attachments));
  }

  /** Settles when the cancellation that was asked for is stored, as the outcome; undefined when nobody asked. */
  get cancelled(): Promise<void> | undefined {
    return this.#cancelled;
  }

  /**
   * Ends the processes and makes SPAWN_CANCELLED the outcome. Claude has a moment to say what it took; those that take longer to end
   * are not waited for.
   * @returns false when there was an outcome already. @throws {Stopped} when the attempt has lost its lease.
   */
  async cancel(by: string | undefined): Promise<boolean> {
    if (this.#cancelled === undefined) {
      if (this.#options.events.ended) return false;
      this.#cancelled = this.#cancel(by);
    }
    await this.#cancelled;
    return true;
  }

  async #cancel(by: string | undefined): Promise<void> {
    this.#stop.abort(new Stopped('cancelled'));
    const { context, events } = this.#options;
    await sleep(context.broker.clock, LAST_FIGURES_MS, this.#over.signal).catch(() => undefined); // It is over.
    await events.cancelled(by, this.#cost?.usage());
  }

  /** Asks Claude to end its turn, in its own way. @returns false when there was an outcome already. */
  interrupt(): boolean {
    if (this.#closed) return false;
    this.#interrupt.abort(new Stopped('interrupted'));
    return true;
  }

  /**
   * Says more to Claude while it works. Resolves when it is stored, so that an attempt that follows is told it too.
   * @returns false when its last turn is over. @throws {Stopped} when the attempt has lost its lease.
   */
  async input(text: string, by: string | undefined): Promise<boolean> {
    return !this.#closed && this.#input.say(text) && (await this.#options.events.input(text, by));
  }

  /** Answers what Claude wants to be allowed. @throws {Stopped} when the attempt has lost its lease. */
  approve(id: string, answer: ApprovalAnswer, by?: string, rule?: string): Promise<ControlAnswer> {
    if (this.#closed) return Promise.resolve({ ok: false, error: 'ended' });
    const unknown = { ok: false, error: 'unknown_approval' } as const;
    return this.#approvals?.answer(id, answer, by, rule) ?? Promise.resolve(unknown);
  }

  /** It has its outcome, or is about to. */
  get #closed(): boolean {
    return this.#options.events.ended || this.#cancelled !== undefined;
  }

  /** Runs Claude. @throws when the lease is lost. */
  async run(): Promise<Outcome> {
    const { context, slot, lease, identity, claim, policy, command } = this.#options;
    const { clock } = context.broker;
    const limit = new TimeLimit({
      clock,
      ms: policy.timeoutMs,
      mostMs: Math.max(policy.timeoutMs, policy.endBy - clock.now()),
      onOver: () => this.#stop.abort(new Stopped('timeout')),
    });
    this.#limit = limit;
    const live = new LiveText(context.broker, identity, claim.attempt, this.#redaction);
    try {
      const told = await this.#runClaude(live);
      await this.#serversHeard;
      lease.signal.throwIfAborted();
      if (this.#serverFault !== undefined) throw this.#serverFault;
      const result = this.#planned(told.result);
      const ending = { ...told, result, limitResetsAt: plausibleReset(told.limitResetsAt, context.broker.clock.now()) };
      const checked = await checkOutput(command, ending.result, this.#options.events.large);
      const interrupted = this.#interrupt.signal.aborted;
      const shortOf = ending.shortOf ?? checked.shortOf;
      const outcome = outcomeOf({ ...ending, ...checked, shortOf, stopped: this.#fault(), interrupted });
      if (shortOf !== undefined) context.shortages.met(shortOf);
      else context.shortages.over();
      const limitedUntil = limitOf(outcome, ending, context.broker.clock.now());
      if (limitedUntil !== undefined) context.onUsageLimit(limitedUntil);
      return { ...outcome, usage: this.#cost?.usage() };
    } catch (error) {
      lease.signal.throwIfAborted();
      if (error instanceof TaskFault)
        return { kind: 'failed', error: taskError(error.code, error.message), usage: this.#cost?.usage() };
      if (error instanceof NotRemoved) return { kind: 'failed', error: taskError('host_unable', error.message) };
      const shortOf = shortageOf(error);
      if (shortOf !== undefined) {
        context.shortages.met(shortOf);
        return { kind: 'failed', error: taskError('host_unable', `it is short of ${shortOf}`) };
      }
      if (error instanceof FolderMoved)
        return { kind: 'failed', error: taskError('workspace_unavailable', error.message) };
      context.log.error({ err: error }, 'running Claude failed');
      return { kind: 'failed', error: taskError('internal', error instanceof Error ? error.message : String(error)) };
    } finally {
      this.#over.abort();
      this.#approvals?.stop();
      limit.stop();
      live.stop();
      await context.clear(slot);
    }
  }

  /** Where nobody is asked, plan mode ends with the plan: Claude may have said no more than that it wrote one. */
  #planned(result: ClaudeMessage | undefined): ClaudeMessage | undefined {
    const { permission_mode: mode, approvals = false } = this.#options.command;
    if (mode !== 'plan' || approvals || result?.['subtype'] !== 'success' || result['is_error'] === true) return result;
    const plan = this.#plan.written;
    return plan === undefined ? result : { ...result, result: plan };
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
    // While a person is asked, the time limit stands still.
    const lastsMs = command.approvals === true ? Infinity : policy.timeoutMs;
    const place = await folders.slot(slot, lastsMs);
    const { session_id: sessionId, owner } = command;
    /** The workspace, once it is known. Undefined: the session has its own folder, or only reads. */
    let writesIn: string | undefined;
    const onAppend = (entries: readonly Counted[]): void => {
      this.#cost?.entries(entries);
      if (writesIn !== undefined) context.worktrees.note(sessionId, writesIn, entries);
    };
    const from = { sessionId, owner, ...claim.transcript };
    const { large } = events;
    const transcript = new Transcript({ broker, blobs, ...from, redaction, large, signal, onAppend });
    await refuseForeignSession(broker, command, sessionId, signal);
    const begun = await transcript.exists();
    const ownFolder = (): Promise<string> => context.sessionFolder(sessionId, signal);
    const { path: cwd, workspace } = await folderOf(command, transcript, begun, { own: ownFolder, workspaces });
    const readOnly = command.workspace_access === 'read';
    if (readOnly && keeper.kind !== 'sandbox')
      throw new TaskFault('workspace_unavailable', 'this worker has no sandbox, which alone can make it read-only');
    if (workspace !== undefined && !readOnly) writesIn = cwd;
    const resume = begun || (await this.#forked(transcript, cwd));
    const before = costStateOf((await transcript.load({ projectKey: '', sessionId })) ?? []);
    this.#cost = new CostMeter(sessionId, before, context.prices);
    const budget = await budgetNow(command, context);
    if (budget.kind === 'spent') {
      // Awaited here: a refusal of it must not stay unheard when the lease is lost meanwhile.
      await (this.#cancelled ??= events.cancelled(undefined, undefined, 'budget_exceeded'));
      throw new TaskFault('claude_max_budget', 'A budget was spent before the attempt began');
    }
    const servers = await configureServers(command, mcpServers.current, place.mcpConfig);
    redaction.also(servers.credentials);
    const tools = judgedWhole(toolsFor(command, workspace, toolPolicy.current), large);
    if (claim.attempt > 1) this.#input.sayAgain(await this.#saidBefore());
    const stopping = AbortSignal.any([signal, shutdown, this.#stop.signal]);
    const hands = await this.#hands(tools, stopping);
    const within = budget.usd === undefined ? command : { ...command, budget_usd: budget.usd };
    const asked = { asked: within, defaultModel: context.model, tools, mcpConfig: servers.file, hands };
    const options = queryOptions(asked);
    const ask = this.#asking(tools);
    lease.throwIfLost();
    const own = !resume && ask === undefined && workspace === undefined && !readOnly;
    const warm = own ? context.warm?.take(options, place.login?.writable) : undefined;
    for (const { config } of [place, ...(warm === undefined ? [] : [warm.folders])]) this.#plan.mayLieIn(config);
    return context.runClaude({
      input: this.#input,
      sessionId,
      resume,
      transcript,
      options,
      ask,
      warm,
      onWarmRefused: (error) => context.log.warn({ err: error }, 'a process that was started before is not used'),
      cwd,
      readOnly,
      visible: place.visible,
      login: place.login,
      env: environmentOf(environment.env, place),
      executable: context.executable,
      keeper,
      onSaid: (message) => this.#cost?.heard(message),
      onMessage: (message) => {
        this.#plan.heard(message);
        live.complete(message);
        events.message(message, this.#cost?.usage());
      },
      onText: (text) => live.add(text),
      onTurn: (init, ask) => {
        this.#serversHeard = this.#onTurn(init, servers, ask);
      },
      gate: () => events.room(),
      redact: redactor([...environment.secrets, ...servers.secrets]),
      redaction,
      large,
      idleMs: policy.idleTimeoutMs,
      onIdle: () => this.#stop.abort(new Stopped('idle')),
      outputBytes: limits.outputBytes,
      onTooMuch: () => this.#stop.abort(new Stopped('output')),
      onStarted: (pid) => memory.watch(pid, limits.memoryBytes, () => this.#stop.abort(new Stopped('memory'))),
      interrupt: this.#interrupt.signal,
      signal: stopping,
    });
  }

  /** Never rejects. */
  async #onTurn(
    init: ClaudeMessage,
    { names, required, secrets }: ConfiguredServers,
    ask: () => Promise<McpServerStatus[]>,
  ): Promise<void> {
    if (names.size === 0) return;
    const { context, events } = this.#options;
    const redact = redactor([...context.environment.secrets, ...secrets]);
    const states = await serverStates(init, names, ask);
    events.servers(states.map((each) => ({ ...each, ...(each.error && { error: redact(each.error) }) })));
    const away = states.filter(({ name, status }) => required.has(name) && status !== 'connected');
    if (away.length === 0) return;
    const told = away.map(({ name, status, error = status }) => `${name} (${redact(error)})`);
    this.#serverFault = new TaskFault('mcp_server_failed', told.join(', '));
    this.#stop.abort(new Stopped('servers'));
  }

  /** What earlier attempts were told beside the prompt: the session stands again where it stood before them. */
  #saidBefore(): Promise<string[]> {
    const { context, lease, command, claim } = this.#options;
    const { broker, blobs } = context;
    return whileUnavailable(broker, lease.signal, () => readInputs(broker, blobs, command.task_id, claim.startSeq));
  }

  #hands(
    { hands: tools }: ClaudeTools,
    signal: AbortSignal,
  ): Promise<Awaited<ReturnType<typeof handsServer>> | undefined> {
    if (tools.length === 0) return Promise.resolve(undefined);
    const { context, command, slot, events, place } = this.#options;
    const { broker, process, log } = context;
    const onWait = (): (() => void) => context.lend(slot);
    const lendTo = place && ((awaited: string) => place.lendTo(awaited, signal));
    const lacking = (json: string): number => events.large.added(json);
    return handsServer(
      new Hands({ broker, process, taskId: command.task_id, signal, log, onWait, lendTo, lacking }),
      tools,
    );
  }

  #asking(tools: ClaudeTools): Approvals['ask'] | undefined {
    const { context, command, claim, events } = this.#options;
    const { task_id: taskId, approvals = false, approval_timeout_s: timeoutS = 600 } = command;
    if (!approvals) return undefined;
    const { attempt } = claim;
    const { clock } = context.broker;
    const redaction = this.#redaction;
    const plan = this.#plan;
    const timeoutMs = timeoutS * 1_000;
    const asked = new Approvals({ taskId, attempt, timeoutMs, events, clock, tools, redaction, plan });
    this.#approvals = asked;
    return (...question) => {
      const answer = asked.ask(...question);
      this.#limit?.hold(answer);
      return answer;
    };
  }

  /** @returns whether the session goes on from another one, as it was asked to. */
  async #forked(transcript: Transcript, cwd: string): Promise<boolean> {
    const { context, lease, command } = this.#options;
    const { fork_of: from, session_id: sessionId, owner } = command;
    if (from === undefined) return false;
    const { broker, blobs } = context;
    const { signal } = lease;
    await refuseForeignSession(broker, command, from, signal);
    const end = await whileUnavailable(broker, signal, () => transcriptEnd(broker, from));
    const source = new Transcript({
      broker,
      blobs,
      sessionId: from,
      owner,
      ...end,
      redaction: this.#redaction,
      large: this.#options.events.large,
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

/** Denies an input that lacks a large value: a rule may deny the part that is missing. */
function judgedWhole(tools: ClaudeTools, large: LargeValues): ClaudeTools {
  const { whyNot } = tools;
  if (whyNot === undefined) return tools;
  return {
    ...tools,
    whyNot: (name, input) =>
      large.added(JSON.stringify(input)) > 0 ? 'The input is too large to be checked.' : whyNot(name, input),
  };
}
