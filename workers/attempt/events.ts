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
import { whileUnavailable } from '../../src/broker/certain.js';
import type { ClaudeMessage } from '../claude/ending.js';
import { LargeValues } from '../claude/large-values.js';
import type { Redaction } from '../claude/redaction.js';
import type { Journal } from '../journal/journal.js';
import { JournaledOutbox } from '../journal/journaled-outbox.js';
import type { Outcome } from './outcome.js';
import type { Claim } from './claim.js';
import { fitting } from '../journal/fitting.js';
import type { Lease } from './lease.js';
import type { Outbox, OutboxItem } from '../journal/outbox.js';
import { Stopped } from './stop.js';

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
 * What an attempt publishes, in order and numbered. Everything expects its own SPAWN_START to be the task's last state:
 * that is the fence (docs/design/broker-protocol.md#fence).
 */
export class AttemptEvents {
  /** What its messages lack as it is large. */
  readonly large = new LargeValues();
  readonly #options: AttemptEventsOptions;
  readonly #outbox: Outbox;
  /** Of the SPAWN_START, which is stored already. */
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

  /** How the attempt ends is on its way, or stored. */
  get ended(): boolean {
    return this.#ended;
  }

  /** One complete message of Claude's stream. What it says after the attempt's end is dropped. */
  /** @param usage of the attempt so far: if its worker dies, nothing else tells. */
  message(message: ClaudeMessage, usage?: Usage): void {
    if (this.#ended) return;
    const data = { ...this.#counted(), message, ...(usage && { usage }) };
    this.#tell('SPAWN_MESSAGE', SUBJECT.taskOutput(this.#options.identity.task_id), data);
  }

  /** What became of the task's MCP servers: the attempt's last event says so. */
  servers(states: readonly McpServerState[]): void {
    this.#servers = states;
  }

  /** Claude wants to be allowed something. */
  approvalRequested(data: Omit<EventData<'APPROVAL_REQUESTED'>, keyof TaskIdentity | 'attempt'>): void {
    if (!this.#ended) this.#tell('APPROVAL_REQUESTED', this.#approvals, { ...this.#uncounted(), ...data });
  }

  /** Resolves when it is stored. After the attempt's end it is not told: that ended it. @throws as `outcome`. */
  async approvalResolved(data: Omit<EventData<'APPROVAL_RESOLVED'>, keyof TaskIdentity | 'attempt'>): Promise<void> {
    if (this.#ended) return;
    this.#tell('APPROVAL_RESOLVED', this.#approvals, { ...this.#uncounted(), ...data });
    await this.#outbox.drained();
  }

  /** Resolves when it is stored. @returns false after the attempt's end. @throws as `outcome`. */
  async input(text: string, by: string | undefined): Promise<boolean> {
    if (this.#ended) return false;
    const said = { ...this.#uncounted(), text, ...(by === undefined ? {} : { by }) };
    this.#tell('SPAWN_INPUT', SUBJECT.taskInput(this.#options.identity.task_id), said);
    await this.#outbox.drained();
    return true;
  }

  /** What to wait for before more is read from Claude. */
  room(): Promise<void> | undefined {
    return this.#outbox.room();
  }

  /**
   * The attempt's outcome, after all its messages. Resolves when it is stored.
   * @param givenUp it would have been tried again.
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

  /** The task is not wanted any more, or may cost nothing more. As `outcome`. */
  cancelled(
    by: string | undefined,
    usage?: Usage,
    reason: EventData<'SPAWN_CANCELLED'>['reason'] = 'requested',
  ): Promise<void> {
    return this.#end('cancelled', {
      ...this.#options.identity,
      reason,
      ...(by === undefined ? {} : { by }),
      ...(usage && { usage }),
    });
  }

  /** Gives the task back because this worker stops. As `outcome`. */
  drained(usage?: Usage): Promise<void> {
    return this.#retrying({ reason: 'worker_drained', counted: false, ...(usage && { usage }) });
  }

  /** The attempt has failed, and another one follows. @param counted against the policy's `max_attempts`. As `outcome`. */
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

  /** The same, without tokens that stand within texts of its own, as in an error's message. */
  #readable<T>(data: T): T {
    if (!this.large.any) return data;
    const json = JSON.stringify(data);
    const named = this.large.named(json);
    return named === json ? data : (JSON.parse(named) as T);
  }

  /** Stores a batch through outages, always the identical one, until it is stored or the attempt has no right to. */
  async #deliver(batch: readonly OutboxItem[]): Promise<void> {
    const { broker, lease } = this.#options;
    const { signal } = lease;
    const publications: Publication[] = [];
    for (const item of batch)
      publications.push(await fitting(item, this.#options.identity.task_id, this.#options, signal));
    let repeated = false;
    await whileUnavailable(broker, signal, async () => {
      if (repeated && (await this.#isStored(batch))) return;
      repeated = true;
      try {
        await broker.publisher.publishBatch(publications);
      } catch (error) {
        // An earlier try was stored, though its acknowledgement never came.
        if (isBrokerError(error, 'duplicate')) return;
        if (!isBrokerError(error, 'conflict')) throw error;
        if (!(await this.#isStored(batch))) throw new Stopped('fenced');
      }
    });
  }

  /** Whether the last event of the batch is what the broker has last of its subject: nobody else writes there. */
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
