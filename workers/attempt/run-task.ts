import type { Logger } from 'pino';
import type { TaskErrorBody } from '../../contracts/events.js';
import { HEADER } from '../../contracts/names.js';
import type { SpawnCommand } from '../../contracts/spawn.js';
import type { Delivery } from '../../src/broker/consume.js';
import { isBrokerError } from '../../src/broker/errors.js';
import { releaseSession } from '../../src/broker/session-queue.js';
import { whileUnavailable } from '../certain.js';
import type { ClaudeEnding } from '../claude/ending.js';
import { redactor } from '../claude/environment.js';
import { runClaude } from '../claude/run.js';
import { Transcript } from '../claude/transcripts.js';
import type { WorkerContext } from '../context.js';
import { outcomeOf, taskError, type Outcome } from '../outcome.js';
import { decide, effectivePolicy, pauseMs, type EffectivePolicy } from '../policy.js';
import { claimTask, type Claim } from './claim.js';
import { readCommand, type TaskIdentity } from './command.js';
import { postDeadLetter } from './dead-letter.js';
import { AttemptEvents } from './events.js';
import { Lease } from './lease.js';
import { LiveText } from './live.js';
import { Stopped, type StopReason } from './stop.js';

/** How a delivered run ended here. */
export type TaskEnd =
  | Outcome['kind']
  | StopReason
  /** It had its outcome already, or has it now, as it was lost too often. */
  | 'ended'
  /** It failed, and is to be tried again. */
  | 'retrying'
  /** Another worker has it. */
  | 'lost'
  /** It is not for this worker now. */
  | 'given_back';

/** A run that this worker can't take now goes to others, or comes again after this. */
const GIVE_BACK_MS = 5_000;

/** Takes one delivered run to its end. Never rejects: what goes wrong is logged, and the lease brings the run elsewhere. */
export async function runTask(delivery: Delivery, slot: number, context: WorkerContext): Promise<TaskEnd> {
  const log = context.log.child({ task_id: delivery.header(HEADER.taskId) });
  const lease = new Lease({
    broker: context.broker,
    delivery,
    leaseMs: context.leaseMs,
    log,
  });
  try {
    return await new TaskRun(delivery, slot, { ...context, log }, lease).run();
  } catch (error) {
    if (error instanceof Stopped) return error.reason;
    log.error({ err: error }, 'the task could not be run here; it is given back');
    if (lease.signal.aborted) return 'lost';
    delivery.giveBack(GIVE_BACK_MS);
    return 'given_back';
  } finally {
    await lease.stop();
  }
}

/** An attempt under way. */
interface Attempt {
  readonly command: SpawnCommand;
  readonly policy: EffectivePolicy;
  readonly identity: TaskIdentity;
  readonly claim: Claim;
  readonly events: AttemptEvents;
}

/** Of a task that is given up; without a command, what stands in its place can't be read. */
interface GivenUp {
  readonly command: SpawnCommand | undefined;
}

const textOf = (data: Uint8Array): string => new TextDecoder().decode(data);

/** Which of the attempt's own faults it was stopped for. */
function faultOf(overrun: AbortSignal): 'timeout' | 'idle' | undefined {
  const reason = overrun.reason instanceof Stopped ? overrun.reason.reason : undefined;
  return reason === 'timeout' || reason === 'idle' ? reason : undefined;
}

class TaskRun {
  readonly #delivery: Delivery;
  readonly #slot: number;
  readonly #context: WorkerContext;
  readonly #lease: Lease;
  readonly #log: Logger;

  constructor(delivery: Delivery, slot: number, context: WorkerContext, lease: Lease) {
    this.#delivery = delivery;
    this.#slot = slot;
    this.#context = context;
    this.#lease = lease;
    this.#log = context.log;
  }

  async run(): Promise<TaskEnd> {
    const read = await whileUnavailable(this.#lease.signal, () => readCommand(this.#delivery, this.#context.blobs));
    if (read.kind === 'newer') {
      this.#log.warn({ version: read.version }, 'a task of a newer format is given back; this worker needs an update');
      this.#delivery.giveBack(GIVE_BACK_MS);
      return 'given_back';
    }
    if (read.kind === 'unreadable') {
      // Left in place it would lock its session for ever, and there is no task to report it to.
      this.#log.error({ why: read.why, subject: this.#delivery.subject }, 'a run that names no task is removed');
      await whileUnavailable(this.#lease.signal, () => this.#delivery.ack());
      return 'ended';
    }
    const { identity } = read;
    const traceparent = this.#delivery.header(HEADER.traceparent);
    const { retentionMs } = this.#context;
    const policy = read.kind === 'command' ? effectivePolicy(read.command, retentionMs) : undefined;
    const claimed = await claimTask(this.#context, identity, this.#delivery, policy, this.#lease.signal);
    if (claimed.kind === 'lost') return 'lost';
    if (claimed.kind === 'early') {
      this.#delivery.giveBack(claimed.pauseMs);
      return 'given_back';
    }
    const command = read.kind === 'command' ? read.command : undefined;
    if (claimed.kind === 'ended') return this.#release(identity, 'ended', { command });
    const { claim } = claimed;
    this.#lease.start(identity.task_id, claim.startId);
    this.#log.info({ attempt: claim.attempt, session_id: identity.session_id }, 'attempt started');
    const events = new AttemptEvents({ ...this.#context, lease: this.#lease, identity, claim, traceparent });
    if (read.kind === 'malformed' || policy === undefined) {
      const why = read.kind === 'malformed' ? read.why : '';
      const error = taskError('internal', `The task's command is not valid (${why})`);
      return this.#finish({ kind: 'failed', error }, events, identity);
    }
    return this.#attempt({ command: read.command, policy, identity, claim, events });
  }

  async #attempt(attempt: Attempt): Promise<TaskEnd> {
    const { identity, policy, claim, events } = attempt;
    const { shutdown } = this.#context;
    const outcome = await this.#outcome(attempt);
    this.#lease.signal.throwIfAborted();
    // A result that came before the stop still counts.
    if (shutdown.aborted && outcome.kind !== 'completed') return this.#giveBack(events);
    const decision = decide(outcome, claim.failures + 1, policy, Math.random(), Date.now());
    if (decision.kind === 'retry' && outcome.kind === 'failed')
      return this.#retry(outcome.error, decision.afterMs, events);
    return this.#finish(
      outcome,
      events,
      identity,
      decision.kind === 'give_up' ? { command: attempt.command } : undefined,
    );
  }

  async #outcome(attempt: Attempt): Promise<Outcome> {
    const { identity, claim, policy } = attempt;
    const overrun = new AbortController();
    const stop = (reason: 'timeout' | 'idle'): void => overrun.abort(new Stopped(reason));
    const timer = setTimeout(() => stop('timeout'), policy.timeoutMs);
    const live = new LiveText(this.#context.broker, identity, claim.attempt);
    try {
      const ending = await this.#runClaude(attempt, live, overrun.signal, () => stop('idle'));
      return outcomeOf({ ...ending, stopped: faultOf(overrun.signal) });
    } catch (error) {
      this.#lease.signal.throwIfAborted();
      this.#log.error({ err: error }, 'running Claude failed');
      return { kind: 'failed', error: taskError('internal', error instanceof Error ? error.message : String(error)) };
    } finally {
      clearTimeout(timer);
      live.stop();
    }
  }

  async #runClaude(
    { command, claim, events, policy }: Attempt,
    live: LiveText,
    overrun: AbortSignal,
    onIdle: () => void,
  ): Promise<ClaudeEnding> {
    const { broker, blobs, folders, environment, keeper, shutdown } = this.#context;
    const { signal } = this.#lease;
    const { config, home } = await folders.slot(this.#slot);
    const sessionId = command.session_id;
    const transcript = new Transcript({ broker, blobs, sessionId, ...claim.transcript, signal });
    return runClaude({
      prompt: command.prompt,
      sessionId,
      resume: await transcript.exists(),
      transcript,
      model: command.model ?? this.#context.model,
      allowedTools: command.allowed_tools,
      cwd: await folders.workspace(sessionId),
      env: { ...environment.env, HOME: home, CLAUDE_CONFIG_DIR: config },
      executable: this.#context.executable,
      keeper,
      onMessage: (message) => {
        live.flush();
        events.message(message);
      },
      onText: (text) => live.add(text),
      gate: () => events.room(),
      redact: redactor(environment.secrets),
      idleMs: policy.idleTimeoutMs,
      onIdle,
      signal: AbortSignal.any([signal, shutdown, overrun]),
    });
  }

  async #finish(outcome: Outcome, events: AttemptEvents, identity: TaskIdentity, givenUp?: GivenUp): Promise<TaskEnd> {
    await events.outcome(outcome, givenUp !== undefined);
    const code = outcome.kind === 'failed' ? outcome.error.code : undefined;
    this.#log.info({ outcome: outcome.kind, code, given_up: givenUp !== undefined }, 'attempt ended');
    return this.#release(identity, outcome.kind, givenUp);
  }

  /** The run keeps its session's place while it waits; the slot is free for others. */
  async #retry(error: TaskErrorBody, afterMs: number, events: AttemptEvents): Promise<TaskEnd> {
    const retryAt = Date.now() + afterMs;
    await events.failed(error, retryAt);
    await this.#lease.stop();
    this.#delivery.giveBack(pauseMs(retryAt, Date.now()));
    this.#log.info({ code: error.code, retry_in_ms: afterMs }, 'attempt failed; another follows');
    return 'retrying';
  }

  async #giveBack(events: AttemptEvents): Promise<TaskEnd> {
    // Stored only while our start was the last state: so the run that is given back is ours.
    await events.drained();
    await this.#lease.stop();
    this.#delivery.giveBack(0);
    this.#log.info('attempt given back, as the worker stops');
    return 'shutdown';
  }

  /**
   * After the outcome. Safe to repeat, and a redelivery repeats it if this doesn't come to its end.
   * @param givenUp the task may have been given up: then its dead letter comes before all else.
   */
  async #release(identity: TaskIdentity, end: TaskEnd, givenUp?: GivenUp): Promise<TaskEnd> {
    await this.#lease.stop();
    const { broker, blobs, leaseMs } = this.#context;
    const patience = AbortSignal.timeout(leaseMs);
    const ack = (): Promise<void> => this.#delivery.ack();
    try {
      if (givenUp !== undefined) {
        const [, , , queue = ''] = this.#delivery.subject.split('.');
        const letter = { identity, queue, command: givenUp.command ?? textOf(this.#delivery.data) };
        await whileUnavailable(patience, () => postDeadLetter(broker, blobs, letter));
      }
      await whileUnavailable(patience, () => releaseSession(broker, identity.session_id, identity.task_id, ack));
    } catch (error) {
      if (!patience.aborted && !isBrokerError(error)) throw error;
      this.#log.warn({ err: error }, "the task's run is not off the queue yet; its redelivery will see to that");
    }
    return end;
  }
}
