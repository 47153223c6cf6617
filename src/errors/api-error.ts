import {
  API_ERRORS,
  isRetryable,
  isTransientCode,
  retryAfterOf,
  type ApiErrorCode,
} from '../../contracts/wire/errors.js';
import type { Fault } from '../../contracts/wire/check.js';
import type { RateState } from '../../contracts/access/rates.js';
import { codeOf } from '../broker/errors.js';

/** An error for a client, over HTTP, WebSocket or NATS. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly code: ApiErrorCode;
  readonly faults: readonly Fault[];
  /** Seconds. */
  readonly retryAfter: number | undefined;
  /** The state of the token's rate limit, if that was exceeded. */
  readonly rate: RateState | undefined;

  readonly #final: boolean;

  /**
   * @param what the details of this case. The code adds its own text.
   * @param options `final`: a retry will not help, although it helps for most errors of this code.
   */
  constructor(
    code: ApiErrorCode,
    what: string,
    options: {
      faults?: readonly Fault[];
      retryAfter?: number;
      rate?: RateState;
      final?: boolean;
      cause?: unknown;
    } = {},
  ) {
    super(what, { cause: options.cause });
    this.code = code;
    this.faults = options.faults ?? [];
    this.rate = options.rate;
    this.#final = options.final ?? false;
    this.retryAfter = options.retryAfter ?? retryAfterOf(code);
  }

  /** Whether a retry may succeed. A budget without a period stays spent. */
  get retryable(): boolean {
    if (this.code === 'budget_exceeded' && this.retryAfter === undefined) return false;
    return isRetryable(this.code) && !this.#final;
  }

  /** Whether the cause is known to pass, so that a loop may repeat the action without limit. */
  get transient(): boolean {
    return this.retryable && isTransientCode(this.code);
  }

  get status(): number {
    return API_ERRORS[this.code].status;
  }
}

/** Texts that replace the broker's own messages. */
const TEXTS: Partial<Record<ApiErrorCode, string>> = {
  disk_full: 'The broker has no storage left',
  queue_full: 'The broker has no room for more',
  conflict: 'Too many changes at once',
  internal: 'An unexpected failure',
};

/** Converts any failure to an error for a client. */
export function apiErrorOf(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  const code = codeOf(error);
  return new ApiError(code, TEXTS[code] ?? (error instanceof Error ? error.message : String(error)), { cause: error });
}

/** Turns every failure of `work` into an error for the client. @throws {ApiError} */
export async function withApiErrors<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw apiErrorOf(error);
  }
}

/** @param current the revision now; 0: there is nothing. @throws {ApiError} revision_mismatch */
export function expectRevision(expected: number | undefined, current: number): void {
  if (expected !== undefined && expected !== current)
    throw new ApiError(
      'revision_mismatch',
      current === 0 ? 'There is nothing yet' : `The revision is ${current}, not ${expected}`,
    );
}

export const shuttingDown = (): ApiError => new ApiError('shutting_down', 'Its supervisor is stopping it');

export const invalid = (faults: readonly Fault[]): ApiError =>
  new ApiError(
    'invalid_request',
    faults.map(({ field, message }) => `${field === '' ? 'the value' : `\`${field}\``} ${message}`).join('; '),
    { faults },
  );
