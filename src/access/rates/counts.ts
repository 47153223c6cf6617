import type { RateCount } from '../../../contracts/access/rates.js';

export interface Rate {
  readonly quota: number;
  readonly windowS: RateCount['window_s'];
}

interface Window extends Pick<RateCount, 'token_id' | 'window_s' | 'window'> {
  /** By API. */
  readonly taken: Map<string, number>;
  total: number;
}

/**
 * What each token took in the present window, at this API and, as far as they have told, at the others. Windows are the wall clock's,
 * so that all APIs mean the same. Counts only grow: a report that is lost, late or doubled does no harm that the next doesn't mend.
 */
export class RateCounts {
  readonly #self: string;
  readonly #windows = new Map<string, Window>();
  readonly #untold = new Set<Window>();

  /** @param self names this API, and no other one or earlier start of it. */
  constructor(self: string) {
    this.#self = self;
  }

  /** Counts one more, unless that is more than the rate. @param now in ms since 1970. @returns what is counted now, of all APIs. */
  take(tokenId: string, { quota, windowS }: Rate, now: number): { readonly taken: boolean; readonly total: number } {
    const window = this.#windowOf({ token_id: tokenId, window_s: windowS, window: numberOf(windowS, now) });
    if (window.total >= quota) return { taken: false, total: window.total };
    raise(window, this.#self, (window.taken.get(this.#self) ?? 0) + 1);
    this.#untold.add(window);
    return { taken: true, total: window.total };
  }

  /** Learns what others say; what is past, or further ahead than clocks may differ, is left out. */
  hear(counts: readonly RateCount[], now: number): void {
    // An API of which nobody asks anything only hears.
    this.#forget(now);
    for (const count of counts) {
      const ahead = count.window - numberOf(count.window_s, now);
      if (ahead === 0 || ahead === 1) raise(this.#windowOf(count), count.api, count.taken);
    }
  }

  /** What this API took and has not told yet, which it now has. */
  tell(now: number): RateCount[] {
    this.#forget(now);
    const counts = [...this.#untold].flatMap((window) => countsOf(window).filter(({ api }) => api === this.#self));
    this.#untold.clear();
    return counts;
  }

  /** All that this API knows of present windows, of the others too: an API that has been restarted has forgotten its own. */
  all(now: number): RateCount[] {
    this.#forget(now);
    this.#untold.clear();
    return [...this.#windows.values()].flatMap(countsOf);
  }

  #windowOf({ token_id, window_s, window }: Pick<RateCount, 'token_id' | 'window_s' | 'window'>): Window {
    const key = `${window_s}/${window}/${token_id}`;
    const known = this.#windows.get(key);
    if (known !== undefined) return known;
    const made = { token_id, window_s, window, taken: new Map<string, number>(), total: 0 };
    this.#windows.set(key, made);
    return made;
  }

  #forget(now: number): void {
    for (const [key, window] of this.#windows) {
      if (window.window >= numberOf(window.window_s, now)) continue;
      this.#windows.delete(key);
      this.#untold.delete(window);
    }
  }
}

/** How long a window that `now` lies in still lasts, in ms: more than 0. */
export const leftOf = ({ windowS }: Rate, now: number): number => windowS * 1_000 - (now % (windowS * 1_000));

const numberOf = (windowS: number, now: number): number => Math.floor(now / (windowS * 1_000));

function raise(window: Window, api: string, taken: number): void {
  const before = window.taken.get(api) ?? 0;
  if (taken <= before) return;
  window.taken.set(api, taken);
  window.total += taken - before;
}

const countsOf = ({ token_id, window_s, window, taken }: Window): RateCount[] =>
  [...taken].map(([api, count]) => ({ api, token_id, window_s, window, taken: count }));
