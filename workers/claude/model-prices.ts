import { isRecord } from '../../src/json.js';
import { amount, eachKind, MODEL_USAGE, type Tokens } from './tokens.js';

/**
 * What the kinds of tokens cost in relation to input, as in Anthropic's price list for most models (a cache write is one for 5 minutes). An
 * estimate may be off where a model has other ratios. Prices themselves are only ever Claude's.
 */
const WEIGHTS: Tokens = { input_tokens: 1, output_tokens: 5, cache_read_tokens: 0.1, cache_write_tokens: 1.25 };

const weight = (tokens: Tokens): number =>
  (Object.keys(WEIGHTS) as (keyof Tokens)[]).reduce((sum, kind) => sum + tokens[kind] * WEIGHTS[kind], 0);

/** What models cost, learned from the sums that Claude gives of tokens and dollars per model. For estimates only. */
export class ModelPrices {
  /** US dollars per input token. */
  readonly #perToken = new Map<string, number>();

  /** @param modelUsage of a result, or of an entry of a transcript. */
  learn(modelUsage: unknown): void {
    if (!isRecord(modelUsage)) return;
    for (const [model, counted] of Object.entries(modelUsage)) {
      // Searches cost beside the tokens.
      if (!isRecord(counted) || (amount(counted['webSearchRequests']) ?? 0) > 0) continue;
      const weighed = weight(eachKind((kind) => amount(counted[MODEL_USAGE[kind]]) ?? 0));
      const usd = amount(counted['costUSD']) ?? 0;
      if (weighed > 0 && usd > 0) this.#perToken.set(model, usd / weighed);
    }
  }

  /** 0 for a model of which Claude has said no cost. */
  costOf(model: string, tokens: Tokens): number {
    return (this.#perToken.get(model) ?? 0) * weight(tokens);
  }
}
