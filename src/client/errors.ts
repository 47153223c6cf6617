import type { Problem } from '../../contracts/http.js';

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
