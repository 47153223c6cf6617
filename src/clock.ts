import { onAbort } from './abort.js';

/** What a process knows of time: the machine's, or a test's own. All times are in ms. */
export interface Clock {
  /** Since 1970; it may be set, and differs from host to host. */
  now(): number;
  /** Only grows, from a beginning of its own: for durations. */
  monotonic(): number;
  /** Calls once, after `ms`. Returns how to call that off. */
  after(ms: number, call: () => void): () => void;
  /** Aborts after `ms`, and keeps no process alive for that. */
  deadline(ms: number): AbortSignal;
}

/** Node fires a longer timer at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** A duration as every timer takes it: whole, as `AbortSignal.timeout` refuses fractions, and rounded up, so that no wait is cut short. */
export const timerMs = (ms: number): number => Math.min(Math.ceil(ms), LONGEST_TIMER_MS);

/** The machine's. Only here is its wall clock read (test/unit/clock.test.ts): other hosts' timestamps are compared with the broker's time. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after: (ms, call) => {
    const timer = setTimeout(call, timerMs(ms));
    return () => clearTimeout(timer);
  },
  deadline: (ms) => AbortSignal.timeout(timerMs(ms)),
};

/** A clock's time as records and events carry it. */
export const timestampOf = (clock: Pick<Clock, 'now'>): string => new Date(clock.now()).toISOString();

/** Resolves after `ms`. @throws the signal's reason once that aborts. */
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
