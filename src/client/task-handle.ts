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

/** The cursor before the oldest stored event. */
const BEGINNING = '0';

/**
 * A handle to follow and steer one task. It holds no connection, so it needs no cleanup. With `await using`, the end of the scope cancels
 * the task unless it has ended.
 */
export class TaskHandle implements AsyncDisposable {
  readonly task_id: string;
  /** A cursor just before the task's first event. If undefined, reads start at the oldest stored event, which takes longer. */
  readonly since: string | undefined;
  readonly #transport: Transport;
  #ended = false;

  constructor(transport: Transport, id: string, since?: string) {
    this.#transport = transport;
    this.task_id = id;
    this.since = since;
  }

  /** The current state of the task. @throws {KsiError} `not_found` */
  get(options: CallOptions = {}): Promise<Task> {
    return this.#transport.call('task', { id: this.task_id }, options);
  }

  /** Yields the past and future events of the task, up to its outcome. A broken connection is resumed with no missed or duplicate events. @throws {KsiError} `not_found` */
  async *events(options: FollowOptions = {}): AsyncGenerator<EventEnvelope> {
    for await (const event of this.#transport.taskEvents(this.task_id, { since: this.since, ...options })) {
      if (outcomeOf(event) !== undefined) this.#ended = true;
      yield event;
    }
  }

  /**
   * Yields the text of the answer as Claude writes it, with nothing missed or repeated. After a lost attempt, the text of the next attempt
   * follows the text of the lost one.
   * @throws {KsiTaskError} at the end, if the task is not completed. @throws {KsiGapError} if the text is no longer stored. @throws {KsiError}
   */
  async *text(options: CallOptions = {}): AsyncGenerator<string> {
    if (this.since === undefined) await this.get(options);
    const answer = new AnswerText();
    const messages = this.#toOutcome([SUBJECT.taskAll(this.task_id), SUBJECT.live(this.task_id)], options);
    let hasText = false;
    try {
      for (;;) {
        const { done, value } = await messages.next();
        if (done === true) {
          const task = completed(value);
          const { output } = hasText || task.output_ref === undefined ? task : { output: await this.output(options) };
          if (!hasText && typeof output?.['result'] === 'string') yield output['result'];
          return;
        }
        if (isGap(value)) throw new KsiGapError(value);
        const text = answer.add(value);
        if (text === '') continue;
        hasText = true;
        yield text;
      }
    } finally {
      await messages.return(undefined as never);
    }
  }

  /**
   * Waits for the outcome, without a limit of time unless you pass a `signal`.
   * @returns the completed task, with its output whatever its size.
   * @throws {KsiTaskError} if the task failed, was cancelled or expired; `error.task` is the task. @throws {KsiError} @throws the signal's reason
   */
  async result(options: CallOptions = {}): Promise<Task> {
    const task = await this.#completed(options);
    if (task.output !== undefined || task.output_ref === undefined) return task;
    return { ...task, output: await this.output(options) };
  }

  /** Claude's `result` object, whatever its size. @throws {KsiError} `not_found` if the task has no output */
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

  /** Cancels the task in any state. @returns the cancelled task. @throws {KsiError} `task_ended` if it has another outcome */
  cancel(options: CallOptions = {}): Promise<Task> {
    return this.#transport.call('cancel', { id: this.task_id }, options);
  }

  /** Makes Claude end its turn. Resolves once Claude has received the request; the outcome follows. @throws {KsiError} `not_running` */
  interrupt(options: CallOptions = {}): Promise<Task> {
    return this.#transport.call('interrupt', { id: this.task_id }, options);
  }

  /** Sends text to Claude while it works. Resolves once Claude has received it. @throws {KsiError} `not_running` */
  input(text: string, options: CallOptions = {}): Promise<Task> {
    return this.#transport.call('input', { id: this.task_id, text }, options);
  }

  /** The pending approvals of this task, oldest first. @throws {KsiError} */
  async approvals(options: CallOptions = {}): Promise<Approval[]> {
    const approvals = await listing(this.#transport, 'approvals', {}, options).all();
    return approvals.filter(({ task_id: id }) => id === this.task_id);
  }

  /** Answers an approval. Default: allow. @throws {KsiError} `already_answered` */
  approve(
    approvalId: string,
    answer: ApprovalAnswer = { decision: 'allow' },
    options: CallOptions = {},
  ): Promise<ApprovalResolved> {
    return this.#transport.call('approve', { id: approvalId, ...answer }, options);
  }

  /** Runs the ended task again, as a new task in the same session. @throws {KsiError} `not_ended`, `not_retryable` */
  async retry(options: CallOptions = {}): Promise<SpawnedTask> {
    return new SpawnedTask(this.#transport, await this.#transport.call('retry', { id: this.task_id }, options));
  }

  /** Cancels the task unless it has ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ended) return;
    try {
      await this.cancel();
    } catch (error) {
      if (!(error instanceof KsiError) || !ENDED_CODES.has(error.code)) throw error;
    }
  }

  /** Yields the messages of the task on these subjects. @returns the ended task */
  async *#toOutcome(subjects: readonly string[], options: CallOptions): AsyncGenerator<EventMessage, Task> {
    const since = this.since ?? BEGINNING;
    for await (const message of this.#transport.events({ ...options, subjects, since })) {
      const outcome = isEvent(message) ? outcomeOf(message) : undefined;
      if (outcome !== undefined) {
        this.#ended = true;
        // The API's read model may be behind the event.
        return { ...(await this.get(options)), ...outcome };
      }
      // The outcome may be among the deleted events, so check the task: the wait might never end.
      const isOutcomeLost = isGap(message) || (isEvent(message) && message.type === 'TASK_DELETED');
      const task = isOutcomeLost ? await this.get(options) : undefined;
      yield message;
      if (task?.ended_at !== undefined) return task;
    }
    throw closed();
  }
}

const ENDED_CODES: ReadonlySet<string> = new Set(['task_ended', 'not_found']);

/** A handle of a task that this client created. */
export class SpawnedTask extends TaskHandle {
  /** KSI's answer. */
  readonly accepted: SpawnAccepted;
  readonly session_id: string;
  declare readonly since: string;

  constructor(transport: Transport, accepted: SpawnAccepted) {
    super(transport, accepted.task_id, accepted.since);
    this.accepted = accepted;
    this.session_id = accepted.session_id;
  }
}
