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

/** The machine's. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after: (ms, call) => {
    const timer = setTimeout(call, ms);
    return () => clearTimeout(timer);
  },
  deadline: (ms) => AbortSignal.timeout(ms),
};

/** Resolves after `ms`. @throws the signal's reason once that aborts. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(signal.reason);
    const stop = (): void => {
      cancel();
      reject(signal?.reason);
    };
    const cancel = clock.after(ms, () => {
      signal?.removeEventListener('abort', stop);
      resolve();
    });
    signal?.addEventListener('abort', stop, { once: true });
  });
}
