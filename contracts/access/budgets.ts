import { Type, type Static } from 'typebox';
import { OWNER_PATTERN } from '../wire/names.js';
import { TOKEN_ID_PATTERN } from './tokens.js';

const usd = (description: string) => Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 1e9, description }));
const perDay = Type.Object(
  { usd_per_day: Type.Number({ exclusiveMinimum: 0, maximum: 1e9 }) },
  { additionalProperties: false },
);
const closed = { additionalProperties: false };

/** The operator's file, KSI_BUDGETS: what may be spent, in US dollars by Claude's own figures. Days are UTC's. */
export const Budgets = Type.Object(
  {
    session_usd: usd('What each session may cost.'),
    owner_usd_per_day: usd('What each owner may spend in a day.'),
    token_usd_per_day: usd('What each token may spend in a day.'),
    owners: Type.Optional(
      Type.Record(Type.String({ pattern: OWNER_PATTERN }), perDay, { ...closed, description: 'Instead, for some.' }),
    ),
    tokens: Type.Optional(
      Type.Record(Type.String({ pattern: TOKEN_ID_PATTERN }), perDay, { ...closed, description: 'Instead, for some.' }),
    ),
  },
  closed,
);
export type Budgets = Static<typeof Budgets>;
