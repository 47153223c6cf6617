import { onAbort } from '../abort.js';

/** Signals as one, until it is released: unlike with `AbortSignal.any`, nothing stays with those of them that live on. */
export interface Linked {
  readonly signal: AbortSignal;
  readonly release: () => void;
}

export function linked(...signals: readonly (AbortSignal | undefined)[]): Linked {
  const both = new AbortController();
  const sources = signals.filter((signal) => signal !== undefined);
  const releases = sources.map((signal) => {
    const abort = (): void => both.abort(signal.reason);
    if (signal.aborted) abort();
    return onAbort(signal, abort);
  });
  return { signal: both.signal, release: () => releases.forEach((release) => release()) };
}
