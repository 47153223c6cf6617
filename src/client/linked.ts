import { onAbort } from '../abort.js';

export interface Linked {
  /** Aborts when one of the signals aborts. */
  readonly signal: AbortSignal;
  readonly release: () => void;
}

/** Combines signals until `release`. Unlike `AbortSignal.any`, it then leaves nothing behind on signals that live longer. */
export function linked(...signals: readonly (AbortSignal | undefined)[]): Linked {
  const combined = new AbortController();
  const sources = signals.filter((signal) => signal !== undefined);
  const releases = sources.map((signal) => {
    const abort = (): void => combined.abort(signal.reason);
    if (signal.aborted) abort();
    return onAbort(signal, abort);
  });
  return { signal: combined.signal, release: () => releases.forEach((release) => release()) };
}
