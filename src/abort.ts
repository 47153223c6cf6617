/** The calls that wait for each signal. */
const waiting = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Calls `listener` once `signal` aborts; a signal that has aborted already calls nothing. Any number of waits may share a signal: it gets one
 * listener, as Node takes more than ten for a leak. @returns what calls it off.
 */
export function onAbort(signal: AbortSignal, listener: () => void): () => void {
  if (signal.aborted) return () => undefined;
  const all = waiting.get(signal) ?? listened(signal);
  // The same function may be given twice.
  const mine = (): void => listener();
  all.add(mine);
  return () => {
    all.delete(mine);
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
  for (const call of all ?? []) call();
}
