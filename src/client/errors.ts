import type { Problem } from '../../contracts/wire/problem.js';
import type { Task } from '../../contracts/tasks/task.js';

/** KSI answered with an error: `code` is the contract (docs/errors.md). */
export class KsiError extends Error {
  override readonly name = 'KsiError';
  readonly code: string;
  readonly status: number;
  readonly problem: Problem | undefined;
  /** Seconds after which to try again, where KSI said so. */
  readonly retryAfter: number | undefined;

  constructor(status: number, problem: Problem | undefined, retryAfter?: number) {
    super(problem?.detail ?? `KSI answered ${status}`);
    this.code = problem?.code ?? `http_${status}`;
    this.status = status;
    this.problem = problem;
    this.retryAfter = retryAfter;
  }
}

/** KSI could not be reached at all. */
export class KsiUnreachableError extends Error {
  override readonly name = 'KsiUnreachableError';
  readonly url: string;

  constructor(url: string, cause: unknown) {
    super(`KSI does not answer at ${url}`, { cause });
    this.url = url;
  }
}

/** A task that was waited for has ended otherwise than completed. */
export class KsiTaskError extends Error {
  override readonly name = 'KsiTaskError';
  readonly task: Task;
  /** The task's error code (docs/errors.md), or its status when it is `cancelled` or `expired`. */
  readonly code: string;

  constructor(task: Task) {
    const { task_id: id, status, error, reason } = task;
    const why = error === undefined ? reason : `${error.code}: ${error.message}`;
    super(`Task ${id} is ${status}${why === undefined ? '' : ` (${why})`}`);
    this.task = task;
    this.code = error?.code ?? status;
  }
}

/** Some of the events that were asked for are no longer kept. */
export class KsiGapError extends Error {
  override readonly name = 'KsiGapError';
  /** The `seq` of the first and the last that are gone. */
  readonly from: number;
  readonly to: number;

  constructor({ from, to }: { readonly from: number; readonly to: number }) {
    super(`The events ${from} to ${to} are no longer kept`);
    this.from = from;
    this.to = to;
  }
}
