import { Type, type Static } from 'typebox';
import { FORMAT_VERSION } from '../wire/names.js';

/** What is left of a token's rate, for the `RateLimit` headers (draft-ietf-httpapi-ratelimit-headers-10). */
export interface RateState {
  readonly quota: number;
  readonly windowS: number;
  readonly remaining: number;
  readonly resetS: number;
}

/** What one API took for one token in one window. It only grows, and of two that say different things the greater is true. */
export const RateCount = Type.Object({
  /** Names the API's process: another one after each start. */
  api: Type.String({ minLength: 1, maxLength: 64 }),
  token_id: Type.String({ minLength: 1, maxLength: 64 }),
  /** The window's length in seconds, and its number since 1970: `floor(seconds / window_s)`. */
  window_s: Type.Enum([1, 60, 3_600]),
  window: Type.Integer({ minimum: 0 }),
  taken: Type.Integer({ minimum: 1 }),
});
export type RateCount = Static<typeof RateCount>;

/** On `ksi.api-rates`. */
export const RateReport = Type.Object({
  v: Type.Literal(FORMAT_VERSION),
  counts: Type.Array(RateCount),
  /** The API that asks all others for what they know, as it has just started or its connection is back. */
  asks: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
});
export type RateReport = Static<typeof RateReport>;
