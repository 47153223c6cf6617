/** The listeners of each signal. */
const waiting = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Calls `listener` when `signal` aborts, but not if it has already aborted. Many waits can share a signal, and Node reports more than ten listeners
 * as a leak, so each signal gets one real listener.
 * @returns a function that removes `listener`
 */
export function onAbort(signal: AbortSignal, listener: () => void): () => void {
  if (signal.aborted) return () => undefined;
  const all = waiting.get(signal) ?? listened(signal);
  // A caller may pass the same function twice, and a set would merge them.
  const forward = (): void => listener();
  all.add(forward);
  return () => {
    all.delete(forward);
    if (all.size > 0 || waiting.get(signal) !== all) return;
    waiting.delete(signal);
    signal.removeEventListener('abort', callAll);
  };
}

function listened(signal: AbortSignal): Set<() => void> {
  const all = new Set<() => void>();
  waiting.set(signal, all);
  signal.addEventListener('abort', callAll, { once: true });
  return all;
}

function callAll({ target }: Event): void {
  const signal = target as AbortSignal;
  const all = waiting.get(signal);
  waiting.delete(signal);
  for (const call of all ?? [])
    try {
      call();
    } catch (error) {
      // Like with a signal's own listeners, the others are still called, and the error is uncaught.
      queueMicrotask(() => {
        throw error;
      });
    }
}
