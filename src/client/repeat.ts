import { pause, pauseBefore } from './backoff.js';
import { KsiError, KsiUnreachableError } from './errors.js';
import type { Route } from './http-request.js';
import { newKey } from './random.js';
import type { KeyedOptions } from './transport.js';

/** How often a request is repeated at the most, unless a client says otherwise. */
export const DEFAULT_RETRIES = 5;
/** A longer wait is the caller's to decide on. */
const MAX_RETRY_AFTER_S = 30;
/** KSI, or a proxy before it, has no answer to give; what became of the request is not known. */
const NO_ANSWER = new Set([502, 503, 504]);

interface Repeating {
  readonly route: Pick<Route, 'method' | 'repeatable'>;
  readonly request: object;
  readonly options: KeyedOptions;
  /** So often at the most. */
  readonly retries: number;
}

/**
 * Makes a request again while it is refused for a time, or its answer is lost and it is safe to repeat. A request that creates something has an
 * idempotency key, which makes that safe.
 * @throws its last error, or the signal's reason.
 */
export async function repeated<T>(
  request: (key: string | undefined) => Promise<T>,
  { route, request: asked, options, retries }: Repeating,
): Promise<T> {
  const { repeatable } = route;
  const key = options.idempotencyKey ?? (repeatable === 'keyed' ? newKey() : undefined);
  const safe = key !== undefined || repeatable === 'always' || (repeatable === 'message_id' && 'message_id' in asked);
  for (let repeats = 0; ; repeats++) {
    try {
      return await request(key);
    } catch (error) {
      // It was deleted by the request whose answer was lost.
      if (repeats > 0 && route.method === 'DELETE' && error instanceof KsiError && error.status === 404)
        return undefined as T;
      const ms = repeats < retries ? pauseAfter(error, repeats, safe) : undefined;
      if (ms === undefined) throw error;
      options.onRetry?.(error as Error);
      await pause(ms, options.signal);
    }
  }
}

/**
 * How long to wait after an error until the request is repeated.
 * @param repeats made so far. @param safe doing it twice comes to the same as doing it once.
 * @returns milliseconds; undefined when the error is final.
 */
export function pauseAfter(
  error: unknown,
  repeats: number,
  safe: boolean,
  random: () => number = Math.random,
): number | undefined {
  const pause = pauseBefore(repeats, random);
  // Nobody listened from the beginning: there is no answer to be lost. Later it is an API that starts again.
  if (error instanceof KsiUnreachableError) return !safe || (repeats === 0 && isRefused(error)) ? undefined : pause;
  if (!(error instanceof KsiError)) return undefined;
  const { status, code, retryAfter } = error;
  // Refused before anything was done. A spent budget without a time is spent for good.
  const forNow =
    code === 'request_in_progress' || (status === 429 && (retryAfter !== undefined || code !== 'budget_exceeded'));
  if (!forNow && !(safe && NO_ANSWER.has(status))) return undefined;
  if (retryAfter !== undefined && retryAfter > MAX_RETRY_AFTER_S) return undefined;
  return Math.max(pause, (retryAfter ?? 0) * 1_000);
}

const isRefused = ({ cause }: Error): boolean =>
  (cause as { cause?: { code?: unknown } } | undefined)?.cause?.code === 'ECONNREFUSED';
