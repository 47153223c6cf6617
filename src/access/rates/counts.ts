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
 * Counts the spawns of each token in the current window, at this API and, by their reports, at the others. Windows are aligned to the
 * clock, so all APIs use the same ones. Counts only grow, so the next report repairs a lost, late or duplicate one.
 */
export class RateCounts {
  readonly #self: string;
  readonly #windows = new Map<string, Window>();
  readonly #unreported = new Set<Window>();

  /** @param self an id that is unique to this start of this API. */
  constructor(self: string) {
    this.#self = self;
  }

  /** Counts one spawn unless the quota is used up. @param now in ms since 1970. @returns `total`: the count of all APIs. */
  take(tokenId: string, { quota, windowS }: Rate, now: number): { readonly taken: boolean; readonly total: number } {
    const window = this.#windowOf({ token_id: tokenId, window_s: windowS, window: numberOf(windowS, now) });
    if (window.total >= quota) return { taken: false, total: window.total };
    raise(window, this.#self, (window.taken.get(this.#self) ?? 0) + 1);
    this.#unreported.add(window);
    return { taken: true, total: window.total };
  }

  /** Merges the counts of another API. Ignores past windows, and windows further ahead than clocks may differ. */
  hear(counts: readonly RateCount[], now: number): void {
    // An idle API only hears, and must also drop old windows.
    this.#forget(now);
    for (const count of counts) {
      const ahead = count.window - numberOf(count.window_s, now);
      if (ahead === 0 || ahead === 1) raise(this.#windowOf(count), count.api, count.taken);
    }
  }

  /** This API's counts since its last report. */
  tell(now: number): RateCount[] {
    this.#forget(now);
    const counts = [...this.#unreported].flatMap((window) => countsOf(window).filter(({ api }) => api === this.#self));
    this.#unreported.clear();
    return counts;
  }

  /** All counts of current windows, also those of other APIs: a restarted API gets its own counts back this way. */
  all(now: number): RateCount[] {
    this.#forget(now);
    this.#unreported.clear();
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
      this.#unreported.delete(window);
    }
  }
}

/** The remaining time of the current window, in ms: always more than 0. */
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
