import { Type, type Static } from 'typebox';
import { UUID_PATTERN, BUCKET, SUBJECT } from '../wire/names.js';
import { Usage } from './usage.js';
import { recordKind } from '../wire/record-kind.js';

/** What is counted per exchange: the tree of messages and tasks that one message of a person or an external agent leads to. */
export const EXCHANGE_COUNTS = ['tasks', 'messages', 'tool_calls'] as const;
export type ExchangeCount = (typeof EXCHANGE_COUNTS)[number];

const closed = { additionalProperties: false };
const most = (description: string) => Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000, description }));

export const ExchangeLimits = Type.Object(
  {
    tasks: most('Tasks. Default: 100.'),
    messages: most('Messages of agents, including answers. Default: 400.'),
    tool_calls: most("Calls of KSI's own tools by agents. Default: 1000."),
    budget_usd: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        maximum: 1e9,
        description: 'The cost of all its tasks in US dollars. Default: no limit.',
      }),
    ),
  },
  {
    ...closed,
    description:
      'Limits of an exchange: the messages and tasks that one message leads to. If the message and agents set different limits, the lowest applies.',
  },
);
export type ExchangeLimits = Static<typeof ExchangeLimits>;

const DEFAULTS = { tasks: 100, messages: 400, tool_calls: 1_000 } as const satisfies Record<ExchangeCount, number>;

/** A record of `ksi_exchanges`. It expires KSI_RETENTION_EXCHANGES_S after the last count. */
export const ExchangeRecord = Type.Object({
  v: Type.Integer({ minimum: 1 }),
  limits: ExchangeLimits,
  tasks: Type.Integer({ minimum: 0 }),
  messages: Type.Integer({ minimum: 0 }),
  tool_calls: Type.Integer({ minimum: 0 }),
});
export type ExchangeRecord = Static<typeof ExchangeRecord>;

export const EXCHANGE_RECORDS = recordKind(BUCKET.exchanges, ExchangeRecord, SUBJECT.exchange);

export const ExchangeParams = Type.Object(
  { id: Type.String({ pattern: UUID_PATTERN, description: 'The message_id of its first message.' }) },
  closed,
);
export type ExchangeParams = Static<typeof ExchangeParams>;

export const ExchangeView = Type.Object({
  exchange_id: Type.String(),
  limits: ExchangeLimits,
  tasks: Type.Integer({ minimum: 0, description: 'Tasks so far.' }),
  messages: Type.Integer({ minimum: 0, description: 'Messages of agents so far.' }),
  tool_calls: Type.Integer({ minimum: 0, description: "Calls of KSI's own tools so far." }),
  open: Type.Integer({ minimum: 0, description: 'Tasks that have not ended.' }),
  /** The cost includes deleted tasks; the other figures do not. */
  usage: Usage,
});
export type ExchangeView = Static<typeof ExchangeView>;

/** Pure: the lower of each limit. */
export function lowest(a: ExchangeLimits, b: ExchangeLimits): ExchangeLimits {
  const names = [...EXCHANGE_COUNTS, 'budget_usd'] as const;
  const both = names.flatMap((name) => {
    const given = [a[name], b[name]].filter((limit) => limit !== undefined);
    return given.length === 0 ? [] : [[name, Math.min(...given)] as const];
  });
  return Object.fromEntries(both);
}

/** Pure: adds defaults for absent limits. */
export const withDefaults = (limits: ExchangeLimits): ExchangeLimits & Record<ExchangeCount, number> => ({
  ...DEFAULTS,
  ...limits,
});
