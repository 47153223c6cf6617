import { pause, pauseBefore } from './backoff.js';
import { isLasting, isRefused } from './causes.js';
import { KsiError, KsiUnreachableError } from './errors.js';
import type { Route } from './http-request.js';
import { newKey } from './random.js';
import type { KeyedOptions } from './transport.js';

/** The default maximum number of retries of a request. */
export const DEFAULT_RETRIES = 5;
/** With a longer `Retry-After`, the error is thrown, so that the caller can decide. */
const MAX_RETRY_AFTER_S = 30;
/** With these statuses of KSI or a proxy, it is unknown whether the request had an effect. */
const NO_ANSWER = new Set([502, 503, 504]);

interface RetryContext {
  readonly route: Pick<Route, 'method' | 'repeatable'>;
  readonly request: object;
  readonly options: KeyedOptions;
  /** The maximum number of retries. */
  readonly retries: number;
  /** Whether to retry when the first connection is refused. */
  readonly retryRefused: boolean;
}

/**
 * Sends a request, and repeats it while it is refused for now, or if its answer is lost and a repetition is safe. Requests that create something are
 * safe because they have an idempotency key.
 * @throws the last error, or the signal's reason
 */
export async function repeated<T>(
  request: (key: string | undefined) => Promise<T>,
  { route, request: fields, options, retries, retryRefused }: RetryContext,
): Promise<T> {
  const { repeatable } = route;
  const key = options.idempotencyKey ?? (repeatable === 'keyed' ? newKey() : undefined);
  const safe = key !== undefined || repeatable === 'always' || (repeatable === 'message_id' && 'message_id' in fields);
  for (let repeats = 0; ; repeats++) {
    try {
      return await request(key);
    } catch (error) {
      // The first request, whose answer was lost, has deleted it.
      if (repeats > 0 && route.method === 'DELETE' && error instanceof KsiError && error.status === 404)
        return undefined as T;
      const ms = repeats < retries ? pauseAfter(error, { repeats, safe, retryRefused }) : undefined;
      if (ms === undefined) throw error;
      options.onRetry?.(error as Error);
      await pause(ms, options.signal);
    }
  }
}

/**
 * Pure. The time to wait after an error before the request is repeated.
 * @param options `repeats`: the number of retries so far. `safe`: whether the request has the same effect if KSI gets it twice.
 * @returns milliseconds. Undefined if the error is final.
 */
export function pauseAfter(
  error: unknown,
  { repeats, safe, retryRefused }: { readonly repeats: number; readonly safe: boolean; readonly retryRefused: boolean },
  random: () => number = Math.random,
): number | undefined {
  const pause = pauseBefore(repeats, random);
  // If the first connection is refused, the address is probably wrong. A later refusal means that the API is restarting.
  if (error instanceof KsiUnreachableError) {
    if (isLasting(error)) return undefined;
    // A refused request had no effect.
    if (isRefused(error)) return retryRefused || (safe && repeats > 0) ? pause : undefined;
    return safe ? pause : undefined;
  }
  if (!(error instanceof KsiError)) return undefined;
  const { status, code, retryAfter } = error;
  // These requests were refused without an effect. Without `Retry-After`, a spent budget does not renew.
  const isRefusedForNow =
    code === 'request_in_progress' || (status === 429 && (retryAfter !== undefined || code !== 'budget_exceeded'));
  if (!isRefusedForNow && !(safe && NO_ANSWER.has(status))) return undefined;
  if (retryAfter !== undefined && retryAfter > MAX_RETRY_AFTER_S) return undefined;
  return Math.max(pause, (retryAfter ?? 0) * 1_000);
}
