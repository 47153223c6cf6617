import { onAbort } from '../abort.js';
import { KsiError, KsiUnreachableError } from './errors.js';

const FIRST_MS = 200;
const MAX_MS = 5_000;

/** Milliseconds to wait before retry `n` (from 0): 200 ms, doubled each time up to 5 s, with a jitter of up to a half, so that clients do not return at once. */
export const pauseBefore = (n: number, random: () => number = Math.random): number =>
  Math.min(MAX_MS, FIRST_MS * 2 ** n) * (0.5 + random() / 2);

/** Whether a retry may succeed: the server was not reached, or its answer is not final. */
export const isPassing = (error: unknown): error is KsiError | KsiUnreachableError =>
  error instanceof KsiUnreachableError || (error instanceof KsiError && (error.status === 429 || error.status >= 500));

/** Waits for `ms`. @throws the signal's reason */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const timer = setTimeout(() => {
      unsubscribe?.();
      resolve();
    }, ms);
    const unsubscribe =
      signal &&
      onAbort(signal, () => {
        clearTimeout(timer);
        reject(signal.reason as Error);
      });
  });
}
