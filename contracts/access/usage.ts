import { Type, type Static } from 'typebox';
import { addUsd } from '../wire/money.js';
import { ownerFilter, pageOf, pageQuery } from '../wire/page.js';

const count = (description: string) => Type.Integer({ minimum: 0, description });

/** What Claude says that work took: a task's own, though Claude counts through a whole session. */
export const Usage = Type.Object({
  cost_usd: Type.Number({ minimum: 0, description: 'US dollars, by the list prices that Claude knows.' }),
  input_tokens: count('Without what was read from or written to the cache.'),
  output_tokens: count('Of all models.'),
  cache_read_tokens: count('Read from the prompt cache.'),
  cache_write_tokens: count('Written to the prompt cache.'),
  turns: count('Turns of the conversation.'),
  estimated: Type.Optional(
    Type.Boolean({
      description:
        'Claude was ended before it summed up: a part of the tokens is what its stream said of single messages. Their cost is estimated by what Claude said of the same model before; it is missing if Claude had said nothing of it.',
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
  by: Type.Optional(Type.Enum([...USAGE_GROUPS], { default: 'day', description: 'What is summed up together.' })),
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

/** Tasks count on the day on which they end. */
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

/** @param sign -1 takes `more` away. */
export const addUsage = (sum: Usage, more: Usage, sign: 1 | -1 = 1): Usage => ({
  cost_usd: addUsd(sum.cost_usd, sign * more.cost_usd),
  input_tokens: sum.input_tokens + sign * more.input_tokens,
  output_tokens: sum.output_tokens + sign * more.output_tokens,
  cache_read_tokens: sum.cache_read_tokens + sign * more.cache_read_tokens,
  cache_write_tokens: sum.cache_write_tokens + sign * more.cache_write_tokens,
  turns: sum.turns + sign * more.turns,
  ...(sum.estimated === true || more.estimated === true ? { estimated: true } : {}),
});
