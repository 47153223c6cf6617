import { onAbort } from './abort.js';

/** The machine's clock, or a test's. All times are in ms. */
export interface Clock {
  /** Wall-clock time since 1970. It may jump, and differs between hosts. */
  now(): number;
  /** Monotonic time, for durations. */
  monotonic(): number;
  /** Calls `call` once, after `ms`. @returns a function that cancels the call */
  after(ms: number, call: () => void): () => void;
  /** Aborts after `ms`. Does not keep the process alive. */
  deadline(ms: number): AbortSignal;
}

/** Node fires a longer timer at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** A duration that every timer accepts. `AbortSignal.timeout` refuses fractions, so it is rounded up. */
export const timerMs = (ms: number): number => Math.min(Math.ceil(ms), MAX_TIMER_MS);

/** The machine's clock. No other code may read the wall clock (test/unit/clock.test.ts): timestamps of hosts are compared by the broker's time. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after: (ms, call) => {
    const timer = setTimeout(call, timerMs(ms));
    return () => clearTimeout(timer);
  },
  deadline: (ms) => AbortSignal.timeout(timerMs(ms)),
};

/** The time in the format of records and events. */
export const timestampOf = (clock: Pick<Clock, 'now'>): string => new Date(clock.now()).toISOString();

/** Resolves after `ms`. @throws the signal's reason when it aborts */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(signal.reason);
    const cancel = clock.after(ms, () => {
      forget?.();
      resolve();
    });
    const forget =
      signal &&
      onAbort(signal, () => {
        cancel();
        reject(signal.reason);
      });
  });
}
