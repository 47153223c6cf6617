import type { Approval, ApprovalAnswer, ApprovalResolved } from '../../contracts/tasks/approvals.js';
import type { EventEnvelope } from '../../contracts/events/events.js';
import type { SpawnAccepted } from '../../contracts/tasks/spawn.js';
import type { Task } from '../../contracts/tasks/task.js';
import { SUBJECT } from '../../contracts/wire/names.js';
import { AnswerText } from './answer-text.js';
import { closed } from './closed.js';
import { KsiError, KsiGapError } from './errors.js';
import { isEvent, isGap, type EventMessage } from './event-message.js';
import { completed, outcomeOf } from './outcome.js';
import { listing } from './listing.js';
import type { CallOptions, FollowOptions, Transport } from './transport.js';

/** From the beginning of all that is kept. */
const BEGINNING = '0';

/**
 * One task, to be followed and steered. It holds no connection of its own: forget it, or `await using` it, which cancels a task that
 * has not ended.
 */
export class TaskHandle implements AsyncDisposable {
  readonly task_id: string;
  /** A cursor from before its first event; undefined where it isn't known, and all that is kept is looked through. */
  readonly since: string | undefined;
  readonly #transport: Transport;
  #ended = false;

  constructor(transport: Transport, id: string, since?: string) {
    this.#transport = transport;
    this.task_id = id;
    this.since = since;
  }

  /** As it is now. @throws {KsiError} `not_found` */
  get(options: CallOptions = {}): Promise<Task> {
    return this.#transport.call('task', { id: this.task_id }, options);
  }

  /** Its events, past and to come, to its outcome; a broken connection is resumed with no gap and no repeat. @throws {KsiError} */
  async *events(options: FollowOptions = {}): AsyncGenerator<EventEnvelope> {
    for await (const event of this.#transport.taskEvents(this.task_id, { since: this.since, ...options })) {
      if (outcomeOf(event) !== undefined) this.#ended = true;
      yield event;
    }
  }

  /**
   * The text of the answer as Claude writes it, nothing missed and nothing twice, to its end; of a task that ran again after a lost
   * attempt, what that one had written first.
   * @throws {KsiTaskError} at its end: the task is not completed. @throws {KsiGapError} its text is no longer kept. @throws {KsiError}
   */
  async *text(options: CallOptions = {}): AsyncGenerator<string> {
    if (this.since === undefined) await this.get(options);
    const answer = new AnswerText();
    const messages = this.#toOutcome([SUBJECT.taskAll(this.task_id), SUBJECT.live(this.task_id)], options);
    let given = false;
    try {
      for (;;) {
        const { done, value } = await messages.next();
        if (done === true) {
          const task = completed(value);
          const { output } = given || task.output_ref === undefined ? task : { output: await this.output(options) };
          if (!given && typeof output?.['result'] === 'string') yield output['result'];
          return;
        }
        if (isGap(value)) throw new KsiGapError(value);
        const text = answer.take(value);
        if (text === '') continue;
        given = true;
        yield text;
      }
    } finally {
      await messages.return(undefined as never);
    }
  }

  /**
   * Waits for its outcome, however long that takes: give a `signal` to wait no longer.
   * @returns the completed task. @throws {KsiTaskError} it is failed, cancelled or expired; the error has the task.
   * @throws {KsiError} @throws the signal's reason.
   */
  async result(options: CallOptions = {}): Promise<Task> {
    const task = await this.#completed(options);
    if (task.output !== undefined || task.output_ref === undefined) return task;
    return { ...task, output: await this.output(options) };
  }

  /** Claude's result object, of any size. @throws {KsiError} `not_found`: it has none. */
  output(options: CallOptions = {}): Promise<NonNullable<Task['output']>> {
    return this.#transport.call('task_output', { id: this.task_id }, options);
  }

  async #completed(options: CallOptions): Promise<Task> {
    const task = this.since === undefined ? await this.get(options) : undefined;
    if (task?.ended_at !== undefined) return completed(task);
    const messages = this.#toOutcome([SUBJECT.taskStates(this.task_id), SUBJECT.taskDeleted(this.task_id)], options);
    for (;;) {
      const { done, value } = await messages.next();
      if (done === true) return completed(value);
    }
  }

  /** Cancels it in any state. @returns it, cancelled. @throws {KsiError} `task_ended`: it has another outcome. */
  cancel(options: CallOptions = {}): Promise<Task> {
    return this.#transport.call('cancel', { id: this.task_id }, options);
  }

  /** Has Claude end its turn; the outcome follows. @throws {KsiError} `not_running` */
  interrupt(options: CallOptions = {}): Promise<Task> {
    return this.#transport.call('interrupt', { id: this.task_id }, options);
  }

  /** Says more to Claude while it works. @throws {KsiError} `not_running` */
  input(text: string, options: CallOptions = {}): Promise<Task> {
    return this.#transport.call('input', { id: this.task_id, text }, options);
  }

  /** What Claude wants to be allowed in it now, those asked first first. @throws {KsiError} */
  async approvals(options: CallOptions = {}): Promise<Approval[]> {
    const approvals = await listing(this.#transport, 'approvals', {}, options).all();
    return approvals.filter(({ task_id: id }) => id === this.task_id);
  }

  /** Allows it, or answers what `answer` says. @throws {KsiError} `already_answered` */
  approve(
    approvalId: string,
    answer: ApprovalAnswer = { decision: 'allow' },
    options: CallOptions = {},
  ): Promise<ApprovalResolved> {
    return this.#transport.call('approve', { id: approvalId, ...answer }, options);
  }

  /** Runs it, which must have ended, again as a new task. @throws {KsiError} `not_ended`, `not_retryable` */
  async retry(options: CallOptions = {}): Promise<SpawnedTask> {
    return new SpawnedTask(this.#transport, await this.#transport.call('retry', { id: this.task_id }, options));
  }

  /** Cancels it unless it has ended, so that none goes on that nobody waits for. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ended) return;
    try {
      await this.cancel();
    } catch (error) {
      if (!(error instanceof KsiError) || !OVER.has(error.code)) throw error;
    }
  }

  /** Follows subjects of it. @returns the task once it has ended. */
  async *#toOutcome(subjects: readonly string[], options: CallOptions): AsyncGenerator<EventMessage, Task> {
    const since = this.since ?? BEGINNING;
    for await (const message of this.#transport.events({ ...options, subjects, since })) {
      const outcome = isEvent(message) ? outcomeOf(message) : undefined;
      if (outcome !== undefined) {
        this.#ended = true;
        // What answers may be a moment behind the event.
        return { ...(await this.get(options)), ...outcome };
      }
      // Its outcome may be among what is gone: to wait for it could be for ever.
      const gone = isGap(message) || (isEvent(message) && message.type === 'TASK_DELETED');
      const task = gone ? await this.get(options) : undefined;
      yield message;
      if (task?.ended_at !== undefined) return task;
    }
    options.signal?.throwIfAborted();
    throw closed();
  }
}

const OVER: ReadonlySet<string> = new Set(['task_ended', 'not_found']);

/** A task that was just accepted. */
export class SpawnedTask extends TaskHandle {
  /** What KSI answered. */
  readonly accepted: SpawnAccepted;
  readonly session_id: string;
  declare readonly since: string;

  constructor(transport: Transport, accepted: SpawnAccepted) {
    super(transport, accepted.task_id, accepted.since);
    this.accepted = accepted;
    this.session_id = accepted.session_id;
  }
}
