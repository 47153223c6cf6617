import type { ApprovalAnswer } from '../../contracts/tasks/approvals.js';
import type { ControlAnswer } from '../../contracts/tasks/control.js';
import { sleep } from '../../src/clock.js';
import { CostMeter } from '../claude/cost.js';
import type { ClaudeEnding } from '../claude/ending.js';
import { redactor } from '../claude/redaction.js';
import { promptContent } from '../claude/prompt.js';
import { PromptInput } from '../claude/prompt-input.js';
import { queryOptions } from '../claude/query-options.js';
import type { ClaudeRun } from '../claude/run.js';
import type { ClaudeTools } from '../claude/tools.js';
import { environmentOf } from '../claude/warm.js';
import { plausibleReset } from '../queue/usage-limit.js';
import { agentTools } from './agent-tools.js';
import { Approvals } from './approvals.js';
import { budgetNow } from './budget.js';
import { checkOutput } from './check-output.js';
import { failureOf } from './failure.js';
import { TaskFault } from './fault.js';
import { earlierInputs } from './inputs.js';
import { LiveText } from './live.js';
import type { AttemptOptions } from './options.js';
import { limitOf, outcomeOf, taskError, type Outcome } from './outcome.js';
import { PlanTracker, withPlan } from './plan-tracker.js';
import { ServerReport } from './server-report.js';
import { configureServers } from './servers.js';
import { openSession } from './session.js';
import { faultOf, Stopped, type StopReason } from './stop.js';
import { TimeLimit } from './time-limit.js';
import { denyIncomplete, toolsFor } from './tools.js';

/** How long a cancelled attempt waits for Claude's last usage figures. It must be shorter than the API's wait for the worker. */
const LAST_FIGURES_MS = 400;

/** One run of Claude for a task. The lease, the worker's shutdown, the task's policy and requests can stop it. */
export class Attempt {
  readonly #options: AttemptOptions;
  readonly #stop = new AbortController();
  readonly #interrupt = new AbortController();
  /** Aborts when Claude has ended. */
  readonly #over = new AbortController();
  readonly #input: PromptInput;
  readonly #plan: PlanTracker;
  readonly #live: LiveText;
  readonly #limit: TimeLimit;
  #approvals: Approvals | undefined;
  #servers: ServerReport | undefined;
  /** Undefined: Claude has not been started. */
  #cost: CostMeter | undefined;
  #cancelled: Promise<void> | undefined;

  constructor(options: AttemptOptions) {
    this.#options = options;
    const { context, command, identity, claim, policy, events, redaction } = options;
    const { broker } = context;
    this.#plan = new PlanTracker((text) => events.large.restoreText(text, redaction));
    this.#input = new PromptInput(promptContent(command.prompt, command.attachments));
    this.#live = new LiveText(broker, identity, claim.attempt, redaction);
    this.#limit = new TimeLimit({
      clock: broker.clock,
      ms: policy.timeoutMs,
      mostMs: Math.max(policy.timeoutMs, policy.endBy - broker.clock.now()),
      onOver: () => this.#stopFor('timeout'),
    });
  }

  /** Settles when a requested cancellation is stored as the outcome. Undefined: nobody requested one. */
  get cancelled(): Promise<void> | undefined {
    return this.#cancelled;
  }

  /**
   * Ends the processes and makes SPAWN_CANCELLED the outcome. Claude has a moment to report its usage; processes that take longer
   * to end are not waited for.
   * @returns false when the attempt already has an outcome. @throws {Stopped} when the attempt has lost its lease.
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
    this.#stopFor('cancelled');
    const { context, events } = this.#options;
    await sleep(context.broker.clock, LAST_FIGURES_MS, this.#over.signal).catch(() => undefined); // Claude has ended.
    await events.cancelled(by, this.#cost?.usage());
  }

  /** Asks Claude to end its turn by itself. @returns false when the attempt already has an outcome. */
  interrupt(): boolean {
    if (this.#closed) return false;
    this.#interrupt.abort(new Stopped('interrupted'));
    return true;
  }

  /**
   * Sends another user message to Claude while it works. Resolves when the message is stored, so that later attempts receive it too.
   * @returns false when Claude's last turn is over. @throws {Stopped} when the attempt has lost its lease.
   */
  async input(text: string, by: string | undefined): Promise<boolean> {
    return !this.#closed && this.#input.say(text) && (await this.#options.events.input(text, by));
  }

  /** Answers an approval request of Claude. @throws {Stopped} when the attempt has lost its lease. */
  approve(id: string, answer: ApprovalAnswer, by?: string, rule?: string): Promise<ControlAnswer> {
    if (this.#closed) return Promise.resolve({ ok: false, error: 'ended' });
    const unknown = { ok: false, error: 'unknown_approval' } as const;
    return this.#approvals?.answer(id, answer, by, rule) ?? Promise.resolve(unknown);
  }

  /** The attempt has an outcome, or a cancellation is being stored. */
  get #closed(): boolean {
    return this.#options.events.ended || this.#cancelled !== undefined;
  }

  /** Runs Claude. @throws when the lease is lost. */
  async run(): Promise<Outcome> {
    const { context, slot, lease } = this.#options;
    try {
      const ending = await this.#runClaude();
      await this.#servers?.settled();
      lease.signal.throwIfAborted();
      return await this.#outcome(ending);
    } catch (error) {
      lease.signal.throwIfAborted();
      return this.#failed(error);
    } finally {
      this.#over.abort();
      this.#approvals?.stop();
      this.#limit.stop();
      this.#live.stop();
      await context.clear(slot);
    }
  }

  async #runClaude(): Promise<ClaudeEnding> {
    const { context, slot, lease, command, policy, events, redaction } = this.#options;
    const { environment } = context;
    const { session_id: sessionId } = command;
    const { large } = events;
    // The time limit stands still while a person is asked.
    const folders = await context.folders.slot(slot, command.approvals === true ? Infinity : policy.timeoutMs);
    const session = await openSession(this.#options, (entries) => this.#cost?.entries(entries));
    const { transcript, cwd, workspace, readOnly, resume } = session;
    this.#cost = new CostMeter(sessionId, session.costState, context.prices);
    const budgetUsd = await this.#budget();
    const servers = await configureServers(command, context.mcpServers.current, folders.mcpConfig);
    redaction.also(servers.credentials);
    const redact = redactor([...environment.secrets, ...servers.secrets]);
    this.#servers = new ServerReport({
      servers,
      redact,
      onStates: (states) => events.servers(states),
      onFault: () => this.#stopFor('servers'),
    });
    const tools = denyIncomplete(toolsFor(command, workspace, context.toolPolicy.current), large);
    // The transcript was rewound to before these inputs.
    this.#input.sayAgain(await earlierInputs(this.#options));
    const signal = AbortSignal.any([lease.signal, context.shutdown, this.#stop.signal]);
    const options = queryOptions({
      requested: { ...command, ...(budgetUsd === undefined ? {} : { budget_usd: budgetUsd }) },
      defaultModel: context.model,
      tools,
      mcpConfig: servers.file,
      agentTools: await agentTools(this.#options, tools.agentTools, signal),
    });
    const ask = this.#ask(tools);
    lease.throwIfLost();
    const canBeWarm = !resume && ask === undefined && workspace === undefined && !readOnly;
    const warm = canBeWarm ? context.warm?.take(options, folders.login?.writable) : undefined;
    this.#plan.mayLieIn(folders.config);
    if (warm !== undefined) this.#plan.mayLieIn(warm.folders.config);
    return context.runClaude({
      ...this.#limits(),
      ...this.#listeners(),
      input: this.#input,
      sessionId,
      resume,
      transcript,
      options,
      ask,
      warm,
      cwd,
      readOnly,
      visible: folders.visible,
      login: folders.login,
      env: environmentOf(environment.env, folders),
      executable: context.executable,
      launcher: context.launcher,
      onTurn: (init, askServers) => this.#servers?.onTurn(init, askServers),
      redact,
      redaction,
      large,
      interrupt: this.#interrupt.signal,
      signal,
    });
  }

  #limits(): Pick<ClaudeRun, 'idleMs' | 'onIdle' | 'outputBytes' | 'onTooMuch' | 'onStarted'> {
    const { policy, context } = this.#options;
    const { limits, memory } = context;
    return {
      idleMs: policy.idleTimeoutMs,
      onIdle: () => this.#stopFor('idle'),
      outputBytes: limits.outputBytes,
      onTooMuch: () => this.#stopFor('output'),
      onStarted: (pid) => memory.watch(pid, limits.memoryBytes, () => this.#stopFor('memory')),
    };
  }

  #listeners(): Pick<ClaudeRun, 'onSaid' | 'onMessage' | 'onText' | 'onWarmRefused' | 'gate'> {
    const { context, events } = this.#options;
    return {
      onSaid: (message) => this.#cost?.observe(message),
      onMessage: (message) => {
        this.#plan.observe(message);
        this.#live.complete(message);
        events.message(message, this.#cost?.usage());
      },
      onText: (text) => this.#live.add(text),
      onWarmRefused: (error) => context.log.warn({ err: error }, 'could not use a warm process; starting another one'),
      gate: () => events.room(),
    };
  }

  async #outcome(ended: ClaudeEnding): Promise<Outcome> {
    const { context, command, events } = this.#options;
    const now = context.broker.clock.now();
    const result = withPlan(ended.result, command, this.#plan.written);
    const checked = await checkOutput(command, result, events.large);
    const ending = {
      ...ended,
      result,
      ...checked,
      shortage: ended.shortage ?? checked.shortage,
      limitResetsAt: plausibleReset(ended.limitResetsAt, now),
      stopped: faultOf(this.#stop.signal),
      interrupted: this.#interrupt.signal.aborted,
    };
    const outcome = outcomeOf(ending);
    if (ending.shortage === undefined) context.shortages.over();
    else context.shortages.record(ending.shortage);
    const limitedUntil = limitOf(outcome, ending, now);
    if (limitedUntil !== undefined) context.onUsageLimit(limitedUntil);
    return { ...outcome, usage: this.#cost?.usage() };
  }

  #failed(error: unknown): Outcome {
    const { shortages, log } = this.#options.context;
    const { code, what, shortage } = failureOf(error);
    if (shortage !== undefined) shortages.record(shortage);
    if (code === 'internal') log.error({ err: error }, 'running Claude failed');
    return { kind: 'failed', error: taskError(code, what), usage: this.#cost?.usage() };
  }

  #stopFor(reason: StopReason): void {
    this.#stop.abort(new Stopped(reason));
  }

  /** The most that the attempt may cost, in USD. Undefined: no limit. @throws {TaskFault} when nothing is left; the task is then cancelled. */
  async #budget(): Promise<number | undefined> {
    const { command, context, events } = this.#options;
    const budget = await budgetNow(command, context);
    if (budget.kind === 'left') return budget.usd;
    // Awaited here, so that its rejection is handled even if the lease is lost meanwhile.
    await (this.#cancelled ??= events.cancelled(undefined, undefined, 'budget_exceeded'));
    throw new TaskFault('claude_max_budget', 'A budget was spent before the attempt began');
  }

  /** Undefined: the task does not want approvals, so Claude's requests are denied at once. */
  #ask(tools: ClaudeTools): Approvals['ask'] | undefined {
    const { context, command, claim, events, redaction } = this.#options;
    const { task_id: taskId, approvals: wanted = false, approval_timeout_s: timeoutS = 600 } = command;
    if (!wanted) return undefined;
    const approvals = new Approvals({
      taskId,
      attempt: claim.attempt,
      timeoutMs: timeoutS * 1_000,
      events,
      clock: context.broker.clock,
      tools,
      redaction,
      plan: this.#plan,
    });
    this.#approvals = approvals;
    return (...request) => {
      const answer = approvals.ask(...request);
      this.#limit.hold(answer);
      return answer;
    };
  }
}
