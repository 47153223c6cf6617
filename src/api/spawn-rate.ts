import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { ApiError } from './api-error.js';
import type { Principal } from './principal.js';

const SECONDS: Readonly<Record<string, number>> = { second: 1, minute: 60, hour: 3_600 };

/** What is left of a token's rate, for the `RateLimit` headers (draft-ietf-httpapi-ratelimit-headers-10). */
export interface RateState {
  readonly quota: number;
  readonly windowS: number;
  readonly remaining: number;
  readonly resetS: number;
}

/** Spawns that each token may ask this API for in a time. With several APIs each counts for itself. */
export class SpawnRate {
  readonly #default: string;
  readonly #limiters = new Map<string, RateLimiterMemory>();

  /** @param rate as `600/minute`; `0` none. */
  constructor(rate: string) {
    this.#default = rate;
  }

  /** @returns undefined when the token has no limit. @throws {ApiError} rate_limited, after which nothing was counted. */
  async take({ tokenId, rate = this.#default }: Principal): Promise<RateState | undefined> {
    if (rate === '0') return undefined;
    const limiter = this.#limiterOf(rate);
    try {
      return stateOf(limiter, await limiter.consume(tokenId));
    } catch (refused) {
      if (!(refused instanceof RateLimiterRes)) throw refused;
      const state = stateOf(limiter, refused);
      throw new ApiError('rate_limited', `The token may ask for ${rate.replace('/', ' spawns a ')}`, {
        retryAfter: Math.max(1, state.resetS),
        rate: state,
      });
    }
  }

  #limiterOf(rate: string): RateLimiterMemory {
    const known = this.#limiters.get(rate);
    if (known !== undefined) return known;
    const [points = '1', unit = 'second'] = rate.split('/');
    const limiter = new RateLimiterMemory({ points: Number(points), duration: SECONDS[unit] ?? 1 });
    this.#limiters.set(rate, limiter);
    return limiter;
  }
}

const stateOf = ({ points, duration }: RateLimiterMemory, left: RateLimiterRes): RateState => ({
  quota: points,
  windowS: duration,
  remaining: left.remainingPoints,
  resetS: Math.ceil(left.msBeforeNext / 1_000),
});

/** The header fields that tell of it. */
export const rateHeaders = ({ quota, windowS, remaining, resetS }: RateState): Record<string, string> => ({
  'ratelimit-policy': `"spawn";q=${quota};w=${windowS}`,
  ratelimit: `"spawn";r=${remaining};t=${resetS}`,
});
