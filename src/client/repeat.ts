import { pause, pauseBefore } from './backoff.js';
import { KsiError, KsiUnreachableError } from './errors.js';

const MOST_REPEATS = 5;
/** A longer wait is the caller's to decide on. */
const MOST_RETRY_AFTER_S = 30;
/** KSI, or a proxy before it, has no answer to give; what became of the request is not known. */
const NO_ANSWER = new Set([502, 503, 504]);

interface Repeating {
  readonly signal?: AbortSignal | undefined;
  readonly onRetry?: ((error: Error) => void) | undefined;
}

/** Makes a request, which must be safe to repeat, again while its answer is lost. @throws its last error, or the signal's reason. */
export async function repeated<T>(request: () => Promise<T>, { signal, onRetry }: Repeating): Promise<T> {
  for (let repeats = 0; ; repeats++) {
    try {
      return await request();
    } catch (error) {
      const ms = pauseAfter(error, repeats);
      if (ms === undefined) throw error;
      onRetry?.(error as Error);
      await pause(ms, signal);
    }
  }
}

/**
 * How long to wait after an error until the request is repeated.
 * @param repeats made so far.
 * @returns milliseconds; undefined when the error is final.
 */
export function pauseAfter(error: unknown, repeats: number, random: () => number = Math.random): number | undefined {
  if (repeats >= MOST_REPEATS) return undefined;
  const pause = pauseBefore(repeats, random);
  // Nobody listened from the beginning: there is no answer to be lost. Later it is an API that starts again.
  if (error instanceof KsiUnreachableError) return repeats === 0 && isRefused(error) ? undefined : pause;
  if (!(error instanceof KsiError) || !NO_ANSWER.has(error.status)) return undefined;
  const { retryAfter = 0 } = error;
  return retryAfter > MOST_RETRY_AFTER_S ? undefined : Math.max(pause, retryAfter * 1_000);
}

const isRefused = ({ cause }: Error): boolean =>
  (cause as { cause?: { code?: unknown } } | undefined)?.cause?.code === 'ECONNREFUSED';
