import type { RateState } from '../../../contracts/access/rates.js';
import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import type { Broker } from '../../broker/connect.js';
import { ApiError } from '../../errors/api-error.js';
import type { Principal } from '../principal.js';
import { leftOf, RateCounts, type Rate } from './counts.js';
import { RateGossip } from './gossip.js';

/**
 * Limits the spawns of each token, across all APIs of the cluster, per second, minute or hour of the broker's time. No spawn waits for the
 * broker: each API counts and tells the others up to five times a second. The rate can therefore be exceeded by the spawns that all APIs
 * accept within 0.2 s plus the time of a message. While APIs cannot reach each other, each one still enforces the quota by itself.
 */
export class SpawnRateLimiter {
  readonly #default: string;
  readonly #clock: Pick<Broker['clock'], 'now'>;
  readonly #counts: RateCounts;
  readonly #gossip: RateGossip;

  /** @param rate for example `600/minute`; `0`: no limit. */
  constructor(rate: string, broker: Pick<Broker, 'nc' | 'clock' | 'connected' | 'onConnection'>, log: Logger) {
    const self = randomUUID();
    this.#default = rate;
    this.#clock = broker.clock;
    this.#counts = new RateCounts(self);
    this.#gossip = new RateGossip(self, this.#counts, broker, log);
  }

  start(): void {
    this.#gossip.start();
  }

  stop(): Promise<void> {
    return this.#gossip.stop();
  }

  /** Counts one spawn. @returns undefined if the token has no limit. @throws {ApiError} rate_limited; then nothing is counted */
  take({ tokenId, rate: text = this.#default }: Principal): RateState | undefined {
    if (text === '0') return undefined;
    const rate = rateOf(text);
    const now = this.#clock.now();
    const { taken, total } = this.#counts.take(tokenId, rate, now);
    const state = { ...rate, remaining: Math.max(0, rate.quota - total), resetS: Math.ceil(leftOf(rate, now) / 1_000) };
    if (!taken)
      throw new ApiError('rate_limited', `The token is limited to ${text.replace('/', ' spawns per ')}`, {
        retryAfter: state.resetS,
        rate: state,
      });
    this.#gossip.taken();
    return state;
  }
}

const SECONDS: Readonly<Record<string, Rate['windowS']>> = { second: 1, minute: 60, hour: 3_600 };

function rateOf(text: string): Rate {
  const [quota = '1', unit = 'second'] = text.split('/');
  return { quota: Number(quota), windowS: SECONDS[unit] ?? 1 };
}

/** The RateLimit header fields of an answer. */
export const rateHeaders = ({ quota, windowS, remaining, resetS }: RateState): Record<string, string> => ({
  'ratelimit-policy': `"spawn";q=${quota};w=${windowS}`,
  ratelimit: `"spawn";r=${remaining};t=${resetS}`,
});
