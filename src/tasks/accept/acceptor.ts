import type { Logger } from 'pino';
import type { Config } from '../../../contracts/config/config.js';
import { HEADER, STREAM, SUBJECT, type RunPriority } from '../../../contracts/wire/names.js';
import type { SpawnCommand, SpawnRequest, SpawnAccepted } from '../../../contracts/tasks/spawn.js';
import type { TaskStatus } from '../../../contracts/tasks/states.js';
import type { Blobs } from '../../broker/blobs.js';
import { isBrokerError } from '../../broker/errors.js';
import { identityOf, NEW_TASK, stateEvent, transition, type TaskIdentity } from '../../broker/task-states.js';
import { publishExpecting, type PublishAck } from '../../broker/publish.js';
import type { TopologyManager } from '../../broker/topology-manager.js';
import { deleteMessage, lastBySubject } from '../../broker/read.js';
import { directRun, findEntry, promote, storeWaiting, type QueueEntry } from '../../broker/session-queue.js';
import type { EventHub } from '../../events/hub.js';
import { acceptedRow, queuedData } from '../../store/projection.js';
import type { ReadModel } from '../../store/read-model.js';
import { ApiError, apiErrorOf, withApiErrors } from '../../errors/api-error.js';
import { maySee, type Principal } from '../../access/principal.js';
import type { Budget } from '../../access/budgets.js';
import type { Exchanges } from '../../access/exchanges.js';
import { Admission, type AdmissionOptions } from './admission.js';
import { Batcher } from '../../broker/batcher.js';
import { UnacceptedTasks, type Abandon } from './unaccepted-tasks.js';
import { TaskIds } from './task-ids.js';
import { acceptedOf, commandFor, type TaskOrigin, type PreparedTask } from './prepare.js';
import type { QueueCapacity } from './queue-capacity.js';
import type { DiskSpace } from '../../process/disk-space.js';
import type { SessionNames } from '../../sessions/names.js';
import type { TargetSession } from '../../sessions/target-session.js';
import { defined } from '../../defined.js';

export interface AcceptorOptions extends AdmissionOptions {
  readonly blobs: Blobs;
  readonly hub: Pick<EventHub, 'cursor'>;
  readonly model: Pick<ReadModel, 'accept' | 'session' | 'openOf'>;
  readonly budget: Pick<Budget, 'left'>;
  readonly capacity: Pick<QueueCapacity, 'reserve'>;
  readonly disk: Pick<DiskSpace, 'full' | 'suspect'>;
  readonly topology: Pick<TopologyManager, 'full'>;
  readonly exchanges: Pick<Exchanges, 'count'>;
  readonly names: Pick<SessionNames, 'find' | 'findOrReserve'>;
  readonly config: AdmissionOptions['config'] & Pick<Config, 'KSI_EVENTS_MAX_AGE_S' | 'KSI_LOG_PROMPTS'>;
  readonly log: Logger;
}

export interface StoreOptions<T> {
  readonly traceparent: string | undefined;
  /** Called before the task is cancelled as not accepted. */
  readonly abandon: Abandon;
  /** Called after the task is stored and before the client gets its answer. */
  readonly confirm: (status: TaskStatus) => Promise<T>;
}

/** The approximate size of a command without its prompt. */
const ENVELOPE_BYTES = 600;

/** A task may wait for a nested task, so nested tasks go before the rest of the queue, where workers look for them (ADR 39). */
const runPriorityOf = ({ depth, priority }: SpawnCommand): RunPriority => (depth === undefined ? priority : 'next');

const diskFull = (folder: string, cause?: unknown): ApiError =>
  new ApiError(
    'disk_full',
    `The disk of ${folder} is full, or its quota is used up. Free space there and send the request again`,
    { cause },
  );

const noSession = (asked: string | undefined): ApiError =>
  new ApiError('session_not_found', asked === undefined ? 'There is no such session' : `There is no session ${asked}`);

/** Accepts tasks from all transports. The broker has stored and acknowledged a task before the client gets its answer. */
export class Acceptor {
  readonly #options: AcceptorOptions;
  readonly #admission: Admission;
  /** For tasks of new sessions only: nothing else writes to those, so their batches cannot conflict. */
  readonly #runs: Batcher;
  readonly #queuedEvents: Batcher;
  readonly #notAccepted: UnacceptedTasks;
  readonly #ids: TaskIds;

  constructor(options: AcceptorOptions) {
    this.#options = options;
    this.#ids = new TaskIds(options.broker.clock);
    this.#admission = new Admission(options);
    this.#runs = new Batcher(options.broker.publisher);
    this.#queuedEvents = new Batcher(options.broker.publisher);
    this.#notAccepted = new UnacceptedTasks(options.broker, options.log);
  }

  newId(): string {
    return this.#ids.next();
  }

  /** @throws {ApiError} */
  async accept(
    request: SpawnRequest,
    principal: Principal,
    traceparent?: string,
    origin?: TaskOrigin,
  ): Promise<SpawnAccepted> {
    const prepared = await this.prepare(request, principal, origin);
    await this.reserveCapacity(prepared);
    const { command } = prepared;
    const status = await this.#store(prepared, traceparent).catch((error: unknown) => {
      throw this.refusal(error);
    });
    this.#accepted(command, status);
    return acceptedOf(prepared, status);
  }

  /** Checks that tasks with these options can be accepted, apart from limits that change with time. @throws {ApiError} */
  async admit(request: Partial<SpawnRequest>, principal: Principal): Promise<void> {
    await this.#admission.check(request, principal);
    if (request.session_id === undefined) return;
    const session = await withApiErrors(() => this.#options.names.find(request.session_id ?? '', principal.owner));
    if (session !== undefined) await this.#admission.checkSession(session, request, principal);
    else if (request.resume_only === true) throw noSession(request.session_id);
  }

  /** Checks a request and assigns a task id. Stores nothing, except that it reserves a new session name. @throws {ApiError} */
  async prepare(request: SpawnRequest, principal: Principal, origin: TaskOrigin = {}): Promise<PreparedTask> {
    const { broker, hub, config } = this.#options;
    const retentionMs = config.KSI_EVENTS_MAX_AGE_S * 1_000;
    await this.#admission.check(request, principal);
    const full = this.#options.disk.full();
    if (full !== undefined) throw diskFull(full);
    if (!broker.connected()) throw new ApiError('broker_unavailable', 'The API has lost its connection to the broker');
    const session = await withApiErrors(() => this.#sessionOf(request, principal));
    let { workspace } = request;
    // The forked dialogue refers to files in the origin's workspace.
    if (session.forkOf !== undefined) {
      const origin = await this.#admission.checkFork(session.forkOf, principal);
      workspace ??= origin;
    } else if (!session.fresh) await this.#admission.checkSession(session, request, principal);
    const budget = await this.#budget(principal, session.sessionId, origin.ofAgent?.exchange_id);
    const budgetUsd = typeof budget === 'number' ? budget : undefined;
    return {
      command: commandFor(request, session, principal, {
        workspace,
        origin,
        retentionMs,
        budgetUsd,
        taskId: this.#ids.next(),
        now: broker.clock.now(),
      }),
      ...(budget instanceof ApiError ? { refused: budget } : {}),
      fresh: session.fresh,
      since: hub.cursor(),
      principal,
    };
  }

  /** @throws {BrokerError} @throws {ApiError} session_not_found */
  async #sessionOf(
    { session_id: asked, fork, resume_only: resumeOnly }: SpawnRequest,
    { owner }: Principal,
  ): Promise<TargetSession> {
    const { names } = this.#options;
    if (asked === undefined || (fork !== true && resumeOnly !== true)) return names.findOrReserve(asked, owner);
    const found = await names.find(asked, owner);
    if (found === undefined) throw noSession(asked);
    return fork === true ? { ...(await names.findOrReserve(undefined, owner)), forkOf: found.sessionId } : found;
  }

  /** The remaining budget, or the error that it is used up. */
  async #budget(
    principal: Principal,
    sessionId: string,
    exchangeId: string | undefined,
  ): Promise<number | ApiError | undefined> {
    try {
      return await this.#options.budget.left({
        owner: principal.owner,
        tokenId: principal.tokenId,
        sessionId,
        exchangeId,
      });
    } catch (error) {
      if (error instanceof ApiError && error.code === 'budget_exceeded') return error;
      throw error;
    }
  }

  /** Reserves capacity in the queue and the exchange. @throws {ApiError} budget_exceeded, exchange_limit, queue_full, rate_limited */
  async reserveCapacity({
    command: { owner, queue, prompt, exchange_id: exchangeId },
    principal,
    refused,
  }: PreparedTask): Promise<void> {
    const { tokenId, concurrency } = principal;
    if (refused !== undefined) throw refused;
    if (concurrency !== undefined && this.#options.model.openOf(tokenId) >= concurrency)
      throw new ApiError('rate_limited', `The token is limited to ${concurrency} open tasks`, { retryAfter: 5 });
    const { full } = this.#options.topology;
    if (full !== undefined) throw new ApiError('queue_full', `${full}. No task is accepted until it has space`);
    const room = this.#options.capacity.reserve(queue, prompt.length + ENVELOPE_BYTES);
    if (room !== true && !(await room)) throw new ApiError('queue_full', `The queue ${queue} is full`);
    if (exchangeId !== undefined) await this.#options.exchanges.count(owner, exchangeId, 'tasks');
  }

  /**
   * Stores a task that another process may be storing, or has stored already.
   * @returns the result of `confirm`; undefined if this call failed but another process got the task accepted.
   * @throws {ApiError | BrokerError}
   */
  async storeIdempotently<T>(prepared: PreparedTask, options: StoreOptions<T>): Promise<T | undefined> {
    const { command } = prepared;
    const identity = identityOf(command);
    try {
      const message = await this.#message(command, options.traceparent);
      const status = await this.#storeInSession(
        message,
        prepared,
        this.#publishQueued(command, options.traceparent),
        true,
      );
      const confirmed = await options.confirm(status);
      this.#accepted(command, status);
      return confirmed;
    } catch (error) {
      if (!(await this.#foundAccepted(identity, error, options.abandon))) throw error;
      return undefined;
    }
  }

  /** The error for a client whose task could not be stored. */
  refusal(error: unknown): ApiError {
    const { broker, disk } = this.#options;
    const refusal = apiErrorOf(error);
    // A nats-server that cannot write to its disk does not answer, so check the disk.
    const full = refusal.code === 'broker_unavailable' && broker.connected() ? disk.suspect() : undefined;
    return full === undefined ? refusal : diskFull(full, error);
  }

  /** As `UnacceptedTasks.cancel`. @throws {BrokerError} */
  cancelUnaccepted(task: TaskIdentity): Promise<boolean> {
    return this.#notAccepted.cancel(task);
  }

  async stop(): Promise<void> {
    await this.#notAccepted.stop();
  }

  #accepted(command: SpawnCommand, status: TaskStatus): void {
    const { model, config, log } = this.#options;
    model.accept(acceptedRow(command, status));
    if (config.KSI_LOG_PROMPTS === 'yes')
      log.info({ task_id: command.task_id, prompt: command.prompt }, 'accepted a task');
  }

  /** @returns the task's status. @throws {BrokerError | ApiError} */
  async #store(prepared: PreparedTask, traceparent: string | undefined): Promise<TaskStatus> {
    const { command, fresh } = prepared;
    const message = await this.#message(command, traceparent);
    const announced = this.#publishQueued(command, traceparent);
    try {
      return fresh
        ? await this.#storeFresh(message, command)
        : await this.#storeInSession(message, prepared, announced, false);
    } catch (error) {
      if (await this.#foundAccepted(identityOf(command), error)) return 'running';
      throw error;
    }
  }

  #publishQueued(command: SpawnCommand, traceparent: string | undefined): Promise<PublishAck> {
    // The task's `created_at` never changes: the command, the event and the row have the same time.
    const clock = { now: () => Date.parse(command.accepted_at) };
    const { publication } = stateEvent(clock, NEW_TASK, 'queued', queuedData(command), traceparent);
    const announced = this.#queuedEvents.publish(publication);
    // Nothing depends on this event: the broker refuses a late one, and a stored command implies `queued`.
    announced.catch((error: unknown) =>
      this.#options.log.debug({ err: error, task_id: command.task_id }, 'SPAWN_QUEUED was not stored'),
    );
    return announced;
  }

  async #storeFresh(message: QueueEntry, command: SpawnCommand): Promise<TaskStatus> {
    await this.#runs.publish(directRun(message, runPriorityOf(command)));
    return 'queued';
  }

  async #storeInSession(
    message: QueueEntry,
    { command, principal }: PreparedTask,
    announced: Promise<PublishAck>,
    again: boolean,
  ): Promise<TaskStatus> {
    const { broker, log } = this.#options;
    // Wait, because the run is not batched and would overtake SPAWN_QUEUED. The broker would refuse the late event, and with it the
    // prompt, the queue and `retry_of` would be missing from the events.
    await announced.catch(() => undefined);
    if ((await publishExpecting(broker, directRun(message, runPriorityOf(command)))) !== undefined) return 'queued';
    if (again && (await findEntry(broker, message))?.kind === 'run') return 'queued';
    // Another owner may have just begun a session with this UUID.
    const standing = await lastBySubject(broker, STREAM.commands, SUBJECT.session(message.sessionId));
    const owner = standing?.header(HEADER.owner) ?? '';
    if (owner !== '' && !maySee(principal, owner)) throw noSession(undefined);
    await storeWaiting(broker, message, again);
    // The task is accepted now. The sweeper would do the following steps too, only later.
    try {
      const { seq } = await announced;
      await this.#publishWaiting(command, seq);
      const promoted = await promote(broker, message.sessionId);
      if (promoted === undefined) return 'waiting';
      await deleteMessage(broker, STREAM.commands, promoted.waitingSeq);
      return promoted.taskId === message.taskId ? 'queued' : 'waiting';
    } catch (error) {
      log.debug({ err: error, task_id: message.taskId }, 'could not promote a waiting task; the sweeper will');
      return 'waiting';
    }
  }

  async #publishWaiting(command: SpawnCommand, queuedSeq: number): Promise<void> {
    const from = { status: 'queued', seq: queuedSeq } as const;
    const data = { ...identityOf(command), queue: command.queue, reason: 'session_busy' as const };
    // Fails if another API has promoted the task and it has started.
    await transition(this.#options.broker, from, 'waiting', data);
  }

  /** After an error or a timeout of the broker: ensures that the task does not run. @returns true if it turns out to run. */
  async #foundAccepted(task: TaskIdentity, error: unknown, abandon?: Abandon): Promise<boolean> {
    if (isBrokerError(error, 'unavailable')) {
      // The client must not wait longer. The task is settled when the broker answers again.
      this.#notAccepted.later(task, abandon);
      return false;
    }
    // SPAWN_QUEUED may have been stored for a task that never runs, so cancel the task whatever the error was.
    try {
      return !(await this.#notAccepted.cancel(task, abandon));
    } catch (cause) {
      this.#options.log.warn({ err: cause, task_id: task.task_id }, 'could not cancel a refused task; retrying');
      this.#notAccepted.later(task, abandon);
      return false;
    }
  }

  async #message(command: SpawnCommand, traceparent: string | undefined): Promise<QueueEntry> {
    const { blobs } = this.#options;
    const { v, task_id, session_id, queue } = command;
    let payload = JSON.stringify(command);
    if (blobs.needed(Buffer.byteLength(payload))) {
      const ref = await blobs.put(`command/${task_id}`, Buffer.from(payload));
      payload = JSON.stringify({ v, task_id, session_id, ref });
    }
    const headers = defined({
      [HEADER.type]: 'SPAWN',
      [HEADER.owner]: command.owner,
      ...(command.depth === undefined ? {} : { [HEADER.depth]: String(command.depth) }),
      [HEADER.traceparent]: traceparent,
    });
    return { taskId: task_id, sessionId: session_id, queue, payload, headers };
  }
}
