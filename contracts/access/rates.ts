import { Type, type Static } from 'typebox';
import { FORMAT_VERSION } from '../wire/names.js';

/** The state of a token's rate limit, for the `RateLimit` headers (draft-ietf-httpapi-ratelimit-headers-10). */
export interface RateState {
  readonly quota: number;
  readonly windowS: number;
  readonly remaining: number;
  readonly resetS: number;
}

/** One API's count for one token in one window. It only grows, so of two different counts the greater one is newer. */
export const RateCount = Type.Object({
  /** The id of the API's process, new at each start. */
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
  /** The id of an API that has just started or reconnected. All others answer with their counts. */
  asks: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
});
export type RateReport = Static<typeof RateReport>;
