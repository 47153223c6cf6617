import type { Problem } from '../../contracts/wire/problem.js';
import { reasonOf } from './causes.js';
import type { Task } from '../../contracts/tasks/task.js';

/** KSI answered with an error. `code` is stable (docs/errors.md); the message is not. */
export class KsiError extends Error {
  override readonly name = 'KsiError';
  /** The error code, or `http_<status>` if a proxy answered. */
  readonly code: string;
  /** The HTTP status, also over NATS and WebSockets. */
  readonly status: number;
  /** The RFC 9457 problem document. Undefined if a proxy answered. */
  readonly problem: Problem | undefined;
  /** Seconds to wait before a retry, if KSI named a time. */
  readonly retryAfter: number | undefined;

  constructor(status: number, problem: Problem | undefined, retryAfter?: number) {
    super(problem?.detail ?? `KSI answered ${status}`);
    this.code = problem?.code ?? `http_${status}`;
    this.status = status;
    this.problem = problem;
    this.retryAfter = retryAfter;
  }
}

/** KSI did not answer: the connection failed, broke or timed out. `cause` is the underlying error. */
export class KsiUnreachableError extends Error {
  override readonly name = 'KsiUnreachableError';
  readonly url: string;

  constructor(url: string, cause: unknown) {
    super(`KSI does not answer at ${url}: ${reasonOf(cause)}`, { cause });
    this.url = url;
  }
}

/** The awaited task failed, was cancelled or expired. */
export class KsiTaskError extends Error {
  override readonly name = 'KsiTaskError';
  readonly task: Task;
  /** The task's error code (docs/errors.md), or its status if it was `cancelled` or `expired`. */
  readonly code: string;

  constructor(task: Task) {
    const { task_id: id, status, error, reason } = task;
    const why = error === undefined ? reason : `${error.code}: ${error.message}`;
    super(`Task ${id} is ${status}${why === undefined ? '' : ` (${why})`}`);
    this.task = task;
    this.code = error?.code ?? status;
  }
}

/** Some of the requested events are no longer stored. */
export class KsiGapError extends Error {
  override readonly name = 'KsiGapError';
  /** The `seq` of the first missing event. */
  readonly from: number;
  /** The `seq` of the last missing event. */
  readonly to: number;

  constructor({ from, to }: { readonly from: number; readonly to: number }) {
    super(`Events ${from} to ${to} are no longer stored`);
    this.from = from;
    this.to = to;
  }
}
