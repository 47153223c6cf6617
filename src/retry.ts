import { sleep, type Clock } from './clock.js';

/** Pauses between tries, by the kind of action. */
export const RETRY_MS = {
  /** A client waits for the action. */
  waitedFor: 250,
  /** A process is starting, or a part of the broker does not exist yet. */
  start: 500,
  /** No client waits for the action. */
  background: 1_000,
} as const;

export interface RetryOptions {
  readonly clock: Clock;
  readonly pauseMs: number;
  readonly signal: AbortSignal | undefined;
  /** Called with each failure. Must throw if another try cannot help. */
  readonly onFailure: (error: unknown) => void;
}

/** Repeats an action until it succeeds. @throws the error that `onFailure` throws, or the signal's reason */
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
