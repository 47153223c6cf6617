import type { Logger } from 'pino';
import { HEADER } from '../../contracts/wire/names.js';
import type { SpawnCommand } from '../../contracts/tasks/spawn.js';
import type { Usage } from '../../contracts/access/usage.js';
import type { Delivery } from '../../src/broker/consume.js';
import { isBrokerError } from '../../src/broker/errors.js';
import { releaseSession } from '../../src/broker/session-queue.js';
import { Redaction } from '../claude/redaction.js';
import { onAbort } from '../../src/abort.js';
import { retryWhileUnavailable } from '../../src/broker/until-known.js';
import type { WorkerContext } from './context.js';
import type { JournaledRun } from '../journal/journal.js';
import { taskError, type Outcome } from './outcome.js';
import { decideRetry, decideHostRetry, effectivePolicy, pauseMs } from './policy.js';
import { Attempt } from './attempt.js';
import type { AttemptOptions } from './options.js';
import { tellBrokerLost } from './broker-lost.js';
import { claimTask } from './claim.js';
import type { TaskIdentity } from '../../src/broker/task-states.js';
import { readCommand } from './command.js';
import { ControlEndpoint } from './control.js';
import { postDeadLetter } from './dead-letter.js';
import { AttemptEvents } from './events.js';
import { Lease } from './lease.js';
import { waitForExclusiveRun } from './exclusive-run.js';
import { holdRun, MAX_NAK_MS, delayRun, removeSuperseded } from './delay-run.js';
import { Stopped, type StopReason } from './stop.js';
import { workspaceUse, type WorkspacePlace } from './workspace-place.js';

/** How a delivered run ended in this worker. */
export type TaskEnd =
  | Outcome['kind']
  | StopReason
  /** The task already had an outcome, or got one now because its workers were lost too often. */
  | 'ended'
  /** The attempt failed, and another follows. */
  | 'retrying'
  /** Another worker has the task. */
  | 'lost'
  /** The run was returned to the queue. */
  | 'given_back';

/** Delay until a returned run is delivered again. */
const GIVE_BACK_MS = 5_000;
/** The same, for a suspect in a worker that already has an exclusive run. */
const SUSPECT_PAUSE_MS = 2_000;

/** Runs one delivered task to its end. Never rejects: errors are logged, and the run is delivered again when its lease expires. */
export function runTask(delivery: Delivery, slot: number, context: WorkerContext): Promise<TaskEnd> {
  const taskId = delivery.header(HEADER.taskId);
  const log = context.log.child({ task_id: taskId });
  const lease = new Lease({
    broker: context.broker,
    delivery,
    leaseMs: context.leaseMs,
    log,
  });
  const run = new TaskRun(delivery, slot, { ...context, log }, lease);
  const ended = endOf(run, { delivery, lease, log });
  const { endingRuns } = context;
  onAbort(lease.signal, () => {
    endingRuns.set(taskId, ended);
    void ended.then(() => endingRuns.get(taskId) === ended && endingRuns.delete(taskId));
  });
  return ended;
}

interface Leased {
  readonly delivery: Delivery;
  readonly lease: Lease;
  readonly log: Logger;
}

/** Never rejects. */
async function endOf(run: TaskRun, { delivery, lease, log }: Leased): Promise<TaskEnd> {
  try {
    return await run.run();
  } catch (error) {
    if (error instanceof Stopped) {
      if (error.reason === 'broker_lost') await run.tellBrokerLost();
      return error.reason;
    }
    log.error({ err: error }, 'could not run the task; returning it to the queue');
    if (lease.signal.aborted) return 'lost';
    delivery.nak(GIVE_BACK_MS);
    return 'given_back';
  } finally {
    await lease.stop();
    await run.forget();
  }
}

/** A task that gets a dead letter. */
interface GivenUp {
  /** Undefined: the queue entry cannot be read, and the letter contains its text. */
  readonly command: SpawnCommand | undefined;
}

const isOfHost = (outcome: Outcome): boolean => outcome.kind === 'failed' && outcome.error.code === 'host_unable';

const textOf = (data: Uint8Array): string => new TextDecoder().decode(data);

class TaskRun {
  readonly #delivery: Delivery;
  readonly #slot: number;
  readonly #context: WorkerContext;
  readonly #lease: Lease;
  readonly #log: Logger;
  #held: JournaledRun | undefined;
  #place: WorkspacePlace | undefined;

  constructor(delivery: Delivery, slot: number, context: WorkerContext, lease: Lease) {
    this.#delivery = delivery;
    this.#slot = slot;
    this.#context = context;
    this.#lease = lease;
    this.#log = context.log;
  }

  /** @param alone this is the worker's exclusive run. */
  async run(alone = false): Promise<TaskEnd> {
    const read = await retryWhileUnavailable(this.#context.broker, this.#lease.signal, () =>
      readCommand(this.#delivery, this.#context.blobs),
    );
    if (read.kind === 'newer') {
      this.#log.warn({ version: read.version }, 'returning a task in a newer format; update this worker');
      this.#delivery.nak(GIVE_BACK_MS);
      return 'given_back';
    }
    if (read.kind === 'unreadable') {
      // The run would block its session for ever, and no task can report the error.
      this.#log.error({ why: read.why, subject: this.#delivery.subject }, 'removing a run that names no task');
      await retryWhileUnavailable(this.#context.broker, this.#lease.signal, () => this.#delivery.ack());
      return 'ended';
    }
    const { identity } = read;
    const traceparent = this.#delivery.header(HEADER.traceparent);
    const { retentionMs } = this.#context;
    const policy = read.kind === 'command' ? effectivePolicy(read.command, retentionMs) : undefined;
    const { signal } = this.#lease;
    const use = read.kind === 'command' ? await workspaceUse(read.command, this.#context, signal) : {};
    this.#place = use.place;
    const further = { alone, ...use };
    const claimed = await claimTask(this.#context, identity, this.#delivery, policy, signal, further);
    if (claimed.kind === 'suspect') return this.#runAlone();
    if (claimed.kind === 'lost') return 'lost';
    if (claimed.kind === 'early') {
      await delayRun(this.#delivery, identity, claimed.pauseMs, this.#context);
      return 'given_back';
    }
    if (claimed.kind === 'held') return this.#hold(identity, claimed.as);
    if (claimed.kind === 'superseded') {
      await removeSuperseded(this.#delivery, identity, this.#context);
      return 'lost';
    }
    const command = read.kind === 'command' ? read.command : undefined;
    if (claimed.kind === 'ended') return this.#release(identity, 'ended', { command });
    const { claim } = claimed;
    this.#lease.start(
      identity.task_id,
      claim.startId,
      this.#place && (() => this.#place?.holds() ?? Promise.resolve(true)),
    );
    const { attempt, startId, startSeq } = claim;
    this.#held = { identity, attempt, startId, startSeq, reply: this.#delivery.reply };
    this.#context.journal
      .hold(this.#held)
      .catch((error: unknown) => this.#log.error({ err: error }, 'the journal could not be written'));
    this.#log.info({ attempt: claim.attempt, session_id: identity.session_id }, 'attempt started');
    const redaction = new Redaction(this.#context.environment.credentials);
    const events = new AttemptEvents({ ...this.#context, lease: this.#lease, identity, claim, traceparent, redaction });
    if (read.kind === 'malformed' || policy === undefined) {
      const why = read.kind === 'malformed' ? read.why : '';
      const error = taskError('internal', `The task's command is not valid (${why})`);
      return this.#finish({ kind: 'failed', error }, events, identity);
    }
    return this.#attempt({
      context: this.#context,
      slot: this.#slot,
      lease: this.#lease,
      command: read.command,
      policy,
      identity,
      claim,
      events,
      redaction,
      place: this.#place,
    });
  }

  /** The run stays its session's run while it waits for the workspace. The slot is free for others. */
  async #hold(identity: TaskIdentity, as: 'waits' | 'full'): Promise<TaskEnd> {
    if (as === 'full') this.#delivery.nak(MAX_NAK_MS);
    else if (this.#place !== undefined) await holdRun(this.#delivery, identity, this.#place.root, this.#context);
    return 'given_back';
  }

  /** Removes the run from the journal, so that a restarted worker does not return it. Never rejects. */
  async forget(): Promise<void> {
    if (this.#held === undefined) return;
    try {
      await this.#context.journal.drop(this.#held.startId);
    } catch (error) {
      this.#log.error({ err: error }, 'the journal could not be written');
    }
  }

  /** Runs the task once all other runs of this worker have ended. */
  async #runAlone(): Promise<TaskEnd> {
    this.#log.info('workers of this task were lost repeatedly; it needs an exclusive run');
    const leave = await waitForExclusiveRun(this.#context, this.#lease, this.#log);
    if (leave === undefined) {
      this.#delivery.nak(this.#context.shutdown.aborted ? 0 : SUSPECT_PAUSE_MS);
      return 'given_back';
    }
    try {
      return await this.run(true);
    } finally {
      leave();
    }
  }

  async tellBrokerLost(): Promise<void> {
    if (this.#held !== undefined) await tellBrokerLost(this.#held, this.#context);
  }

  async #attempt(options: AttemptOptions): Promise<TaskEnd> {
    const { context, command, identity, policy, claim, events } = options;
    const attempt = new Attempt(options);
    const control = new ControlEndpoint(context, identity.task_id, attempt, this.#log);
    try {
      const outcome = await attempt.run();
      this.#lease.signal.throwIfAborted();
      if (attempt.cancelled !== undefined) {
        await attempt.cancelled;
        return await this.#release(identity, 'cancelled');
      }
      // A result from before the shutdown still counts.
      if (context.shutdown.aborted && outcome.kind !== 'completed') return await this.#giveBack(events, outcome.usage);
      const [random, now] = [context.random(), context.broker.clock.now()];
      const decision = isOfHost(outcome)
        ? decideHostRetry(claim.attempt, policy, random, now)
        : decideRetry(outcome, claim.failures + 1, policy, random, now);
      if (decision.kind === 'retry' && outcome.kind === 'failed')
        return await this.#retry(outcome, decision.afterMs, events, identity);
      return await this.#finish(outcome, events, identity, decision.kind === 'give_up' ? { command } : undefined);
    } finally {
      control.stop();
    }
  }

  async #finish(outcome: Outcome, events: AttemptEvents, identity: TaskIdentity, givenUp?: GivenUp): Promise<TaskEnd> {
    await events.outcome(outcome, givenUp !== undefined);
    const code = outcome.kind === 'failed' ? outcome.error.code : undefined;
    this.#log.info({ outcome: outcome.kind, code, given_up: givenUp !== undefined }, 'attempt ended');
    return this.#release(identity, outcome.kind, givenUp);
  }

  /** The run stays its session's run while it waits. The slot is free for others. */
  async #retry(
    { error, usage }: Extract<Outcome, { kind: 'failed' }>,
    afterMs: number,
    events: AttemptEvents,
    identity: TaskIdentity,
  ): Promise<TaskEnd> {
    const { clock } = this.#context.broker;
    const retryAt = clock.now() + afterMs;
    await events.failed(error, retryAt, error.code !== 'host_unable', usage);
    await this.#lease.stop();
    await this.#place?.leave(clock.deadline(this.#context.leaseMs));
    await delayRun(this.#delivery, identity, pauseMs(retryAt, clock.now()), this.#context);
    this.#log.info({ code: error.code, retry_in_ms: afterMs }, 'attempt failed; another follows');
    return 'retrying';
  }

  async #giveBack(events: AttemptEvents, usage?: Usage): Promise<TaskEnd> {
    // Stored only if this attempt's start is the last state, so the returned run is this attempt's.
    await events.drained(usage);
    await this.#lease.stop();
    this.#delivery.nak(0);
    this.#log.info('the worker stops; attempt returned to the queue');
    return 'shutdown';
  }

  /**
   * Runs after the outcome. Safe to repeat: if it fails, a redelivery repeats it.
   * @param givenUp the dead letter to store before the release. A full broker does not delay the release.
   */
  async #release(identity: TaskIdentity, end: TaskEnd, givenUp?: GivenUp): Promise<TaskEnd> {
    await this.#lease.stop();
    const { broker, blobs, leaseMs } = this.#context;
    const deadline = broker.clock.deadline(leaseMs);
    const ack = (): Promise<void> => this.#delivery.ack();
    try {
      if (givenUp !== undefined) {
        const [, , , queue = ''] = this.#delivery.subject.split('.');
        const letter = { identity, queue, command: givenUp.command ?? textOf(this.#delivery.data) };
        const bytes = Buffer.byteLength(JSON.stringify(letter));
        await retryWhileUnavailable(broker, deadline, () =>
          broker.optional.store('dead_letter', identity.task_id, bytes, () =>
            postDeadLetter(broker, blobs, letter, this.#log),
          ),
        );
      }
      // Before the release: the session's next task works in the same workspace.
      await this.#place?.leave(deadline);
      await retryWhileUnavailable(broker, deadline, () =>
        releaseSession(broker, identity.session_id, identity.task_id, ack),
      );
    } catch (error) {
      if (!deadline.aborted && !isBrokerError(error)) throw error;
      this.#log.warn({ err: error }, 'could not acknowledge the run; its redelivery will');
    }
    return end;
  }
}
