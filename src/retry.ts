import { sleep, type Clock } from './clock.js';

/** Pauses between the tries of an action. */
export const RETRY_MS = {
  /** Somebody waits for the action. */
  waitedFor: 250,
  /** A process starts, or a part of the broker is not there yet. */
  start: 500,
  /** Nobody waits for the action. */
  background: 1_000,
} as const;

export interface RetryOptions {
  readonly clock: Clock;
  readonly pauseMs: number;
  readonly signal: AbortSignal | undefined;
  /** Called with each failure. Throws it if another try cannot help. */
  readonly onFailure: (error: unknown) => void;
}

/** Repeats an action until it succeeds. @throws what `onFailure` throws, and the signal's reason. */
export async function retry<T>(
  action: () => Promise<T>,
  { clock, pauseMs, signal, onFailure }: RetryOptions,
): Promise<T> {
  for (;;) {
    signal?.throwIfAborted();
    try {
      return await action();
    } catch (error) {
      onFailure(error);
    }
    await sleep(clock, pauseMs, signal);
  }
}
