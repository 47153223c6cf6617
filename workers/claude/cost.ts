import type { Usage } from '../../contracts/usage.js';
import type { ClaudeMessage } from './ending.js';

/** What Claude has counted in a session so far. */
type Counted = Readonly<Record<string, unknown>> | undefined;

const KINDS = {
  input_tokens: 'inputTokens',
  output_tokens: 'outputTokens',
  cache_read_tokens: 'cacheReadInputTokens',
  cache_write_tokens: 'cacheCreationInputTokens',
} as const;

/** The last of a transcript's `cost-state` entries: from there Claude counts on when it resumes (tried, 0.3.330). */
export const costStateOf = (entries: readonly { readonly type: string }[]): Counted =>
  entries.findLast(({ type }) => type === 'cost-state');

/**
 * What a run took, by its result: Claude's figures are the session's, so what stood there before is taken off.
 * @returns undefined when the result has none.
 */
export function usageOf(result: ClaudeMessage | undefined, before: Counted): Usage | undefined {
  const total = result?.['total_cost_usd'];
  if (result === undefined || typeof total !== 'number') return undefined;
  const earlier = Number(before?.['totalCostUSD'] ?? 0);
  const tokens = (kind: string): number => sumOf(result['modelUsage'], kind) - sumOf(before?.['modelUsage'], kind);
  const counts = Object.fromEntries(
    Object.entries(KINDS).map(([name, kind]) => [name, Math.max(0, Math.round(tokens(kind)))]),
  ) as Record<keyof typeof KINDS, number>;
  return {
    cost_usd: Math.max(0, total - earlier),
    ...counts,
    turns: typeof result['num_turns'] === 'number' ? result['num_turns'] : 0,
  };
}

const sumOf = (models: unknown, kind: string): number =>
  Object.values((models ?? {}) as Record<string, Record<string, unknown>>).reduce(
    (sum, model) => sum + (typeof model[kind] === 'number' ? model[kind] : 0),
    0,
  );
