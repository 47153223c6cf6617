import { Type, type Static } from 'typebox';
import { addUsd } from '../wire/money.js';
import { ownerFilter, pageOf, pageQuery } from '../wire/page.js';

const count = (description: string) => Type.Integer({ minimum: 0, description });

/** The usage that Claude reports, per task. Claude itself counts per session. */
export const Usage = Type.Object({
  cost_usd: Type.Number({ minimum: 0, description: 'US dollars, at the list prices that Claude knows.' }),
  input_tokens: count('Without tokens read from or written to the prompt cache.'),
  output_tokens: count('Output tokens of all models.'),
  cache_read_tokens: count('Tokens read from the prompt cache.'),
  cache_write_tokens: count('Tokens written to the prompt cache.'),
  turns: count('Claude turns.'),
  estimated: Type.Optional(
    Type.Boolean({
      description:
        "Claude ended before it reported its totals, so some tokens are from single messages of its stream. Their cost is estimated from Claude's earlier reports for the same model; without any, it is missing.",
    }),
  ),
});
export type Usage = Static<typeof Usage>;

export const USAGE_GROUPS = ['day', 'owner', 'token', 'session', 'agent', 'model'] as const;
export type UsageGroup = (typeof USAGE_GROUPS)[number];

const day = (description: string) => Type.Optional(Type.String({ format: 'date', description }));

export const UsageQuery = pageQuery({
  from: day('First day (UTC). Default: 30 days ago.'),
  to: day('Last day (UTC). Default: today.'),
  by: Type.Optional(Type.Enum([...USAGE_GROUPS], { default: 'day', description: 'How tasks are grouped.' })),
  ...ownerFilter,
});
export type UsageQuery = Static<typeof UsageQuery>;

export const UsageRow = Type.Object({
  key: Type.String({
    description: 'The day, owner, token id, session id, agent id or model; empty: tasks that have none.',
  }),
  tasks: count('Ended tasks.'),
  ...Usage.properties,
});
export type UsageRow = Static<typeof UsageRow>;

/** A task counts on the day on which it ends. */
export const UsagePage = pageOf(UsageRow, {
  from: Type.String(),
  to: Type.String(),
  total: Type.Object({ tasks: count('Ended tasks.'), ...Usage.properties }),
});
export type UsagePage = Static<typeof UsagePage>;

export const NO_USAGE: Usage = {
  cost_usd: 0,
  input_tokens: 0,
  output_tokens: 0,
  cache_read_tokens: 0,
  cache_write_tokens: 0,
  turns: 0,
};

/** @param sign -1 subtracts `more`. */
export const addUsage = (sum: Usage, more: Usage, sign: 1 | -1 = 1): Usage => ({
  cost_usd: addUsd(sum.cost_usd, sign * more.cost_usd),
  input_tokens: sum.input_tokens + sign * more.input_tokens,
  output_tokens: sum.output_tokens + sign * more.output_tokens,
  cache_read_tokens: sum.cache_read_tokens + sign * more.cache_read_tokens,
  cache_write_tokens: sum.cache_write_tokens + sign * more.cache_write_tokens,
  turns: sum.turns + sign * more.turns,
  ...(sum.estimated === true || more.estimated === true ? { estimated: true } : {}),
});
