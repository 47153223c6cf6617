import { Type, type Static } from 'typebox';
import { OWNER_PATTERN } from '../wire/names.js';
import { TOKEN_ID_PATTERN } from './tokens.js';

const usd = (description: string) => Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 1e9, description }));
const perDay = Type.Object(
  { usd_per_day: Type.Number({ exclusiveMinimum: 0, maximum: 1e9 }) },
  { additionalProperties: false },
);
const closed = { additionalProperties: false };

/** The operator's file KSI_BUDGETS: cost limits in US dollars, by the cost that Claude reports. Days are in UTC. */
export const Budgets = Type.Object(
  {
    session_usd: usd('The limit of each session.'),
    owner_usd_per_day: usd('The limit of each owner per day.'),
    token_usd_per_day: usd('The limit of each token per day.'),
    owners: Type.Optional(
      Type.Record(Type.String({ pattern: OWNER_PATTERN }), perDay, {
        ...closed,
        description: 'Other limits for some owners.',
      }),
    ),
    tokens: Type.Optional(
      Type.Record(Type.String({ pattern: TOKEN_ID_PATTERN }), perDay, {
        ...closed,
        description: 'Other limits for some tokens.',
      }),
    ),
  },
  closed,
);
export type Budgets = Static<typeof Budgets>;
