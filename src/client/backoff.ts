import { onAbort } from '../abort.js';
import type { KsiError } from './errors.js';

const FIRST_MS = 200;
const MAX_MS = 5_000;

/** How long to wait before the nth (0, 1, 2 …) new connection: doubling, with jitter, so that clients don't come back at once. */
export const pauseBefore = (n: number, random: () => number = Math.random): number =>
  Math.min(MAX_MS, FIRST_MS * 2 ** n) * (0.5 + random() / 2);

/** Another try may help; otherwise the answer is final. */
export const isPassing = (error: KsiError): boolean => error.status === 429 || error.status >= 500;

/** @throws the signal's reason. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const timer = setTimeout(() => {
      forget?.();
      resolve();
    }, ms);
    const forget =
      signal &&
      onAbort(signal, () => {
        clearTimeout(timer);
        reject(signal.reason as Error);
      });
  });
}
