import type { Logger } from 'pino';
import type { EventData, EventType, StoredEvent } from '../../contracts/events/events.js';
import type { TaskErrorBody } from '../../contracts/tasks/error-body.js';
import type { McpServerState } from '../../contracts/tasks/mcp-servers.js';
import { HEADER, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { statusOfEvent } from '../../contracts/tasks/states.js';
import type { Usage } from '../../contracts/access/usage.js';
import type { Blobs } from '../../src/broker/blobs.js';
import type { Broker } from '../../src/broker/connect.js';
import { isBrokerError } from '../../src/broker/errors.js';
import { eventPublication, newEvent } from '../../src/broker/events.js';
import type { Publication } from '../../src/broker/publish.js';
import {
  stateEvent,
  type Predecessor,
  type StateData,
  type StoredStatus,
  type TaskIdentity,
} from '../../src/broker/task-states.js';
import { lastBySubject } from '../../src/broker/read.js';
import { retryWhileUnavailable } from '../../src/broker/until-known.js';
import type { ClaudeMessage } from '../claude/ending.js';
import { LargeValues } from '../claude/large-values.js';
import type { Redaction } from '../claude/redaction.js';
import type { Journal } from '../journal/journal.js';
import { JournaledOutbox } from '../journal/journaled-outbox.js';
import type { Outcome } from './outcome.js';
import type { Claim } from './claim.js';
import { withBodyStored } from '../journal/large-event.js';
import type { Lease } from './lease.js';
import type { Outbox, OutboxItem } from '../journal/outbox.js';
import { Stopped } from './stop.js';
import { defined } from '../../src/defined.js';

export interface AttemptEventsOptions {
  readonly broker: Broker;
  readonly blobs: Blobs;
  readonly lease: Lease;
  readonly identity: TaskIdentity;
  readonly claim: Claim;
  readonly workerId: string;
  readonly traceparent: string;
  readonly journal: Journal;
  readonly redaction: Redaction;
  readonly log: Logger;
}

/**
 * Publishes an attempt's events, in order and numbered. Each event expects the attempt's own SPAWN_START to be the task's last state:
 * that is the fence (docs/design/broker-protocol.md#fence).
 */
export class AttemptEvents {
  /** The large values that were taken out of the messages. */
  readonly large = new LargeValues();
  readonly #options: AttemptEventsOptions;
  readonly #outbox: Outbox;
  /** The number of the last event. 1 is the SPAWN_START, which is already stored. */
  #n = 1;
  #ended = false;
  #servers: readonly McpServerState[] = [];

  constructor(options: AttemptEventsOptions) {
    this.#options = options;
    const { journal, claim, log } = options;
    const deliver = (batch: readonly OutboxItem[]): Promise<void> => this.#deliver(batch);
    this.#outbox = new JournaledOutbox(journal, claim.startId, deliver, (error) =>
      log.error({ err: error }, 'the journal could not be written'),
    );
  }

  /** The attempt's last event is stored or being published. */
  get ended(): boolean {
    return this.#ended;
  }

  /**
   * Publishes a complete message of Claude's stream. Drops messages after the attempt's end.
   * @param usage of the attempt so far. If the worker dies, this is the only record of it.
   */
  message(message: ClaudeMessage, usage?: Usage): void {
    if (this.#ended) return;
    const data = { ...this.#counted(), message, ...(usage && { usage }) };
    this.#tell('SPAWN_MESSAGE', SUBJECT.taskOutput(this.#options.identity.task_id), data);
  }

  /** Sets the states of the task's MCP servers, which the attempt's last event contains. */
  servers(states: readonly McpServerState[]): void {
    this.#servers = states;
  }

  /** Publishes an approval request. */
  approvalRequested(data: Omit<EventData<'APPROVAL_REQUESTED'>, keyof TaskIdentity | 'attempt'>): void {
    if (!this.#ended) this.#tell('APPROVAL_REQUESTED', this.#approvals, { ...this.#uncounted(), ...data });
  }

  /** Resolves when the event is stored. Does nothing after the attempt's end, which ends all approvals. @throws as `outcome`. */
  async approvalResolved(data: Omit<EventData<'APPROVAL_RESOLVED'>, keyof TaskIdentity | 'attempt'>): Promise<void> {
    if (this.#ended) return;
    this.#tell('APPROVAL_RESOLVED', this.#approvals, { ...this.#uncounted(), ...data });
    await this.#outbox.drained();
  }

  /** Publishes a user message. Resolves when it is stored. @returns false after the attempt's end. @throws as `outcome`. */
  async input(text: string, by: string | undefined): Promise<boolean> {
    if (this.#ended) return false;
    const eventData = defined({ ...this.#uncounted(), text, by });
    this.#tell('SPAWN_INPUT', SUBJECT.taskInput(this.#options.identity.task_id), eventData);
    await this.#outbox.drained();
    return true;
  }

  /** Resolves when the outbox has room for more of Claude's output. Undefined: it has room now. */
  room(): Promise<void> | undefined {
    return this.#outbox.room();
  }

  /**
   * Publishes the attempt's outcome after all its messages. Resolves when the outcome is stored.
   * @param givenUp the error could be retried, but no attempts or no time is left.
   * @throws {Stopped} when fenced, or the lease is lost.
   */
  outcome(outcome: Outcome, givenUp = false): Promise<void> {
    const output = outcome.output as Record<string, unknown> | undefined;
    const { usage } = outcome;
    const counted = { ...this.#counted(), ...this.#serversTold, ...(usage && { usage }) };
    if (outcome.kind === 'completed') return this.#end('completed', { ...counted, ...(output && { output }) });
    const data = {
      ...counted,
      error: outcome.error,
      ...(givenUp && { given_up: 'attempts_exhausted' as const }),
      ...(output && { output }),
    };
    return this.#end('failed', data);
  }

  /** Publishes that a client or an exhausted budget cancelled the task. As `outcome`. */
  cancelled(
    by: string | undefined,
    usage?: Usage,
    reason: EventData<'SPAWN_CANCELLED'>['reason'] = 'requested',
  ): Promise<void> {
    return this.#end(
      'cancelled',
      defined({
        ...this.#options.identity,
        reason,
        by,
        ...(usage && { usage }),
      }),
    );
  }

  /** Publishes that the task returns to the queue because this worker stops. As `outcome`. */
  drained(usage?: Usage): Promise<void> {
    return this.#retrying({ reason: 'worker_drained', counted: false, ...(usage && { usage }) });
  }

  /** Publishes that the attempt failed and another follows. @param counted whether it counts against `max_attempts`. As `outcome`. */
  failed(error: TaskErrorBody, retryAt: number, counted: boolean, usage?: Usage): Promise<void> {
    const reason = error.code as EventData<'SPAWN_RETRY'>['reason'];
    return this.#retrying({
      reason,
      counted,
      retry_at: new Date(retryAt).toISOString(),
      error,
      ...(usage && { usage }),
    });
  }

  #retrying(
    data: Pick<EventData<'SPAWN_RETRY'>, 'reason' | 'counted'> & Partial<EventData<'SPAWN_RETRY'>>,
  ): Promise<void> {
    const { identity, claim, workerId } = this.#options;
    return this.#end('retrying', {
      ...identity,
      attempt: claim.attempt,
      worker_id: workerId,
      ...this.#serversTold,
      ...data,
    });
  }

  #counted(): TaskIdentity & { attempt: number; n: number } {
    this.#n += 1;
    return { ...this.#options.identity, attempt: this.#options.claim.attempt, n: this.#n };
  }

  get #start(): Predecessor {
    return { status: 'running', seq: this.#options.claim.startSeq };
  }

  get #serversTold(): Pick<EventData<'SPAWN_RETRY'>, 'mcp_servers'> {
    return this.#servers.length === 0 ? {} : { mcp_servers: [...this.#servers] };
  }

  get #approvals(): string {
    return SUBJECT.taskApproval(this.#options.identity.task_id);
  }

  #uncounted(): TaskIdentity & { attempt: number } {
    return { ...this.#options.identity, attempt: this.#options.claim.attempt };
  }

  async #end<S extends StoredStatus>(status: S, data: StateData<S>): Promise<void> {
    this.#ended = true;
    const { broker, lease, traceparent } = this.#options;
    const { event, publication } = stateEvent(broker.clock, this.#start, status, this.#readable(data), traceparent);
    lease.own(event.id);
    this.#add(event, publication);
    await this.#outbox.drained();
  }

  #tell<T extends EventType>(type: T, subject: string, data: EventData<T>): void {
    const { broker, identity, traceparent } = this.#options;
    const event = newEvent(broker.clock, type, this.#readable(data));
    const expect = { filter: SUBJECT.taskStates(identity.task_id), seq: this.#start.seq };
    this.#add(event, eventPublication(event, subject, expect, traceparent));
  }

  #add(event: StoredEvent, publication: Publication): void {
    const { payload } = publication;
    const added = typeof payload === 'string' ? this.large.added(payload) : 0;
    const { redaction } = this.#options;
    const restore = added === 0 ? undefined : (json: string): Iterable<Buffer> => this.large.restore(json, redaction);
    this.#outbox.add({ event, publication, bytes: Buffer.byteLength(payload) + added, restore });
  }

  /** Replaces the placeholders of large values inside texts, such as an error's message, by readable names. */
  #readable<T>(data: T): T {
    if (!this.large.any) return data;
    const json = JSON.stringify(data);
    const named = this.large.named(json);
    return named === json ? data : (JSON.parse(named) as T);
  }

  /** Publishes a batch, unchanged, until it is stored or the attempt is fenced. Survives outages of the broker. */
  async #deliver(batch: readonly OutboxItem[]): Promise<void> {
    const { broker, lease } = this.#options;
    const { signal } = lease;
    const publications: Publication[] = [];
    for (const item of batch)
      publications.push(await withBodyStored(item, this.#options.identity.task_id, this.#options, signal));
    let repeated = false;
    await retryWhileUnavailable(broker, signal, async () => {
      if (repeated && (await this.#isStored(batch))) return;
      repeated = true;
      try {
        await broker.publisher.publishBatch(publications);
      } catch (error) {
        // An earlier try was stored, but its acknowledgement was lost.
        if (isBrokerError(error, 'duplicate')) return;
        if (!isBrokerError(error, 'conflict')) throw error;
        if (!(await this.#isStored(batch))) throw new Stopped('fenced');
      }
    });
  }

  /** Whether the last event of the batch is the last message of its subject. Only this attempt writes to the subject. */
  async #isStored(batch: readonly OutboxItem[]): Promise<boolean> {
    const last = batch.at(-1);
    if (last === undefined) return true;
    const { subject } = last.publication;
    const ofState = statusOfEvent(last.event.type) !== undefined;
    const filter = ofState ? SUBJECT.taskStates(this.#options.identity.task_id) : SUBJECT.stored(subject);
    const stored = await lastBySubject(this.#options.broker, STREAM.events, filter);
    return stored?.header(HEADER.msgId) === last.event.id;
  }
}
