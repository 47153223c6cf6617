import { isEnded, mayFollow, statusOfSubject, type TaskStatus } from '../../contracts/tasks/states.js';

/** The fields of a stored event that the invariants use. */
export interface SeenEvent {
  readonly seq: number;
  readonly subject: string;
  /** ISO 8601. */
  readonly timestamp: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export type Rule =
  'two outcomes' | 'after the outcome' | 'transition' | 'numbering' | 'stale attempt' | 'two runs of a session';

export interface Violation {
  readonly rule: Rule;
  readonly taskId: string;
  readonly seq: number;
  readonly what: string;
}

interface TaskSeen {
  status: TaskStatus;
  readonly sessionId: string;
  at: string;
  attempt: number;
  /** The last `n` of the attempt. */
  n: number;
  /** False if retention deleted the first events, so that the numbers cannot be checked. */
  readonly whole: boolean;
}

const FIRST: readonly TaskStatus[] = ['scheduled', 'queued', 'running', 'cancelled', 'expired', 'waiting'];

/** Reads the events of all tasks in order, and records each violation of an invariant (docs/design/terms-and-wire.md#invariants). */
export class Invariants {
  readonly violations: Violation[] = [];
  readonly #tasks = new Map<string, TaskSeen>();
  readonly #running = new Map<string, string>();
  #events = 0;

  get events(): number {
    return this.#events;
  }

  get tasks(): number {
    return this.#tasks.size;
  }

  /** The tasks without an outcome. `at` is the time of the last state event. */
  *open(): Generator<{ taskId: string; sessionId: string; at: string }> {
    for (const [taskId, { status, sessionId, at }] of this.#tasks)
      if (!isEnded(status)) yield { taskId, sessionId, at };
  }

  /** The time of a task's outcome. Undefined if the task is open or unknown. */
  endOf(taskId: string): string | undefined {
    const task = this.#tasks.get(taskId);
    return task !== undefined && isEnded(task.status) ? task.at : undefined;
  }

  add(event: SeenEvent): void {
    const [, , kind, taskId = '', what] = event.subject.split('.');
    if (kind !== 'task' || what === 'deleted') return;
    this.#events++;
    const known = this.#tasks.get(taskId);
    if (what === 'state') this.#state(taskId, known, event);
    else if (known !== undefined) this.#output(taskId, known, event);
  }

  #state(taskId: string, known: TaskSeen | undefined, event: SeenEvent): void {
    const status = statusOfSubject(event.subject);
    if (status === undefined) return;
    const { session_id: session } = event.data;
    const sessionId = typeof session === 'string' ? session : '';
    const attempt = Number(event.data['attempt'] ?? known?.attempt ?? 0);
    if (known === undefined) {
      const whole = FIRST.includes(status) && attempt <= 1;
      const n = Number(event.data['n'] ?? 0);
      this.#tasks.set(taskId, { status, sessionId, at: event.timestamp, attempt, n, whole });
      this.#occupy(taskId, sessionId, status, event);
      return;
    }
    if (isEnded(known.status)) {
      const rule = isEnded(status) ? 'two outcomes' : 'after the outcome';
      this.#complain(rule, taskId, event, `${known.status}, then ${status}`);
      return;
    }
    if (!mayFollow(known.status, status))
      this.#complain('transition', taskId, event, `${known.status}, then ${status}`);
    if (status === 'running') {
      if (attempt <= known.attempt && known.attempt > 0)
        this.#complain('stale attempt', taskId, event, `attempt ${attempt} started after attempt ${known.attempt}`);
      known.n = 0;
    } else if (attempt < known.attempt)
      this.#complain('stale attempt', taskId, event, `${status} of attempt ${attempt} in attempt ${known.attempt}`);
    known.attempt = Math.max(known.attempt, attempt);
    if (event.data['n'] !== undefined) this.#number(taskId, known, event);
    known.status = status;
    known.at = event.timestamp;
    this.#occupy(taskId, sessionId, status, event);
  }

  #output(taskId: string, known: TaskSeen, event: SeenEvent): void {
    const attempt = Number(event.data['attempt'] ?? 0);
    if (known.status !== 'running' || attempt < known.attempt)
      this.#complain(
        'stale attempt',
        taskId,
        event,
        `an event of attempt ${attempt} while the task is ${known.status}, attempt ${known.attempt}`,
      );
    else if (event.data['n'] !== undefined) this.#number(taskId, known, event);
  }

  #number(taskId: string, known: TaskSeen, event: SeenEvent): void {
    const n = Number(event.data['n']);
    if (known.whole && n !== known.n + 1)
      this.#complain('numbering', taskId, event, `${n} after ${known.n} in attempt ${known.attempt}`);
    known.n = n;
  }

  /** Checks that a session runs one task at a time, from the start of an attempt to its end. */
  #occupy(taskId: string, sessionId: string, status: TaskStatus, event: SeenEvent): void {
    const holder = this.#running.get(sessionId);
    if (status === 'running') {
      if (holder !== undefined && holder !== taskId)
        this.#complain('two runs of a session', taskId, event, `${holder} runs in session ${sessionId}`);
      this.#running.set(sessionId, taskId);
    } else if (holder === taskId) this.#running.delete(sessionId);
  }

  #complain(rule: Rule, taskId: string, { seq }: SeenEvent, what: string): void {
    this.violations.push({ rule, taskId, seq, what });
  }
}
