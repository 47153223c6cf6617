import { isRecord } from '../../src/json.js';
import { amount, eachKind, MODEL_USAGE, NO_TOKENS, type Tokens } from './tokens.js';

/**
 * What the kinds of tokens cost in relation to input, as in Anthropic's price list for most models (a cache write is one for 5 minutes). A model's
 * prices begin with these ratios. Each sum that Claude gives corrects them.
 */
const WEIGHTS: Tokens = { input_tokens: 1, output_tokens: 5, cache_read_tokens: 0.1, cache_write_tokens: 1.25 };

const KINDS = Object.keys(WEIGHTS) as (keyof Tokens)[];
const product = (tokens: Tokens, each: Tokens): number =>
  KINDS.reduce((sum, kind) => sum + tokens[kind] * each[kind], 0);

/** What models cost, learned from the sums that Claude gives of tokens and dollars per model. For estimates only. */
export class ModelPrices {
  /** US dollars per token of each kind. */
  readonly #prices = new Map<string, Tokens>();

  /** @param modelUsage of a result, or of an entry of a transcript. */
  learn(modelUsage: unknown): void {
    if (!isRecord(modelUsage)) return;
    for (const [model, counted] of Object.entries(modelUsage)) {
      // Searches cost beside the tokens.
      if (!isRecord(counted) || (amount(counted['webSearchRequests']) ?? 0) > 0) continue;
      const tokens = eachKind((kind) => amount(counted[MODEL_USAGE[kind]]) ?? 0);
      const usd = amount(counted['costUSD']) ?? 0;
      if (usd > 0 && product(tokens, WEIGHTS) > 0)
        this.#prices.set(model, corrected(this.#prices.get(model), tokens, usd));
    }
  }

  /** 0 for a model of which Claude has said no cost. */
  costOf(model: string, tokens: Tokens): number {
    return product(tokens, this.#prices.get(model) ?? NO_TOKENS);
  }
}

/**
 * The prices nearest to those known by which the tokens cost what Claude says (a step of Kaczmarz's method): sums of different mixtures of kinds
 * lead to the model's own prices.
 */
function corrected(known: Tokens | undefined, tokens: Tokens, usd: number): Tokens {
  const perInput = usd / product(tokens, WEIGHTS);
  if (known === undefined) return eachKind((kind) => WEIGHTS[kind] * perInput);
  const missing = usd - product(tokens, known);
  // A step in proportion to the weights, as a kind that costs little is off by little.
  const steps = eachKind((kind) => tokens[kind] * WEIGHTS[kind] ** 2);
  const share = missing / product(tokens, steps);
  return eachKind((kind) => Math.max(0, known[kind] + share * steps[kind]));
}
