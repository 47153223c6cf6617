import { isRecord } from '../../src/json.js';
import { amount, eachKind, MODEL_USAGE, NO_TOKENS, type Tokens } from './tokens.js';

/**
 * The price of each kind of token relative to input tokens, from Anthropic's price list for most models (cache writes for 5 minutes). A
 * model's prices start with these ratios. Each sum that Claude reports corrects them.
 */
const WEIGHTS: Tokens = { input_tokens: 1, output_tokens: 5, cache_read_tokens: 0.1, cache_write_tokens: 1.25 };

const KINDS = Object.keys(WEIGHTS) as (keyof Tokens)[];
const product = (tokens: Tokens, each: Tokens): number =>
  KINDS.reduce((sum, kind) => sum + tokens[kind] * each[kind], 0);

/** The prices of models, learned from the sums of tokens and USD that Claude reports per model. For estimates only. */
export class ModelPrices {
  /** US dollars per token of each kind. */
  readonly #prices = new Map<string, Tokens>();

  /** @param modelUsage the field of a result or of a transcript entry. */
  learn(modelUsage: unknown): void {
    if (!isRecord(modelUsage)) return;
    for (const [model, counted] of Object.entries(modelUsage)) {
      // Searches have a price beside their tokens.
      if (!isRecord(counted) || (amount(counted['webSearchRequests']) ?? 0) > 0) continue;
      const tokens = eachKind((kind) => amount(counted[MODEL_USAGE[kind]]) ?? 0);
      const usd = amount(counted['costUSD']) ?? 0;
      if (usd > 0 && product(tokens, WEIGHTS) > 0)
        this.#prices.set(model, corrected(this.#prices.get(model), tokens, usd));
    }
  }

  /** 0 for a model without a reported cost. */
  costOf(model: string, tokens: Tokens): number {
    return product(tokens, this.#prices.get(model) ?? NO_TOKENS);
  }
}

/**
 * Returns the prices closest to the known ones at which the tokens have the reported cost (a step of Kaczmarz's method). Sums with different
 * mixtures of kinds converge to the model's own prices.
 */
function corrected(known: Tokens | undefined, tokens: Tokens, usd: number): Tokens {
  const perInput = usd / product(tokens, WEIGHTS);
  if (known === undefined) return eachKind((kind) => WEIGHTS[kind] * perInput);
  const missing = usd - product(tokens, known);
  // The step is proportional to the weights: a cheap kind has a small error.
  const steps = eachKind((kind) => tokens[kind] * WEIGHTS[kind] ** 2);
  const share = missing / product(tokens, steps);
  return eachKind((kind) => Math.max(0, known[kind] + share * steps[kind]));
}
