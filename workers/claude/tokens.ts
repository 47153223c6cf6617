import type { Usage } from '../../contracts/access/usage.js';

export type Tokens = Pick<Usage, 'input_tokens' | 'output_tokens' | 'cache_read_tokens' | 'cache_write_tokens'>;

export const NO_TOKENS: Tokens = { input_tokens: 0, output_tokens: 0, cache_read_tokens: 0, cache_write_tokens: 0 };

export const eachKind = (of: (kind: keyof Tokens) => number): Tokens => ({
  input_tokens: of('input_tokens'),
  output_tokens: of('output_tokens'),
  cache_read_tokens: of('cache_read_tokens'),
  cache_write_tokens: of('cache_write_tokens'),
});

/** Field names in `modelUsage` of results and transcripts. */
export const MODEL_USAGE = {
  input_tokens: 'inputTokens',
  output_tokens: 'outputTokens',
  cache_read_tokens: 'cacheReadInputTokens',
  cache_write_tokens: 'cacheCreationInputTokens',
} as const;

/** Claude's stream may contain any JSON. 1e999 is Infinity, which events cannot contain. */
export const amount = (value: unknown): number | undefined =>
  typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER ? value : undefined;
