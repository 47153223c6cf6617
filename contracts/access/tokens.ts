import { Type, type Static } from 'typebox';
import { SCOPES, type Scope } from '../wire/choices.js';
import { BUCKET, OWNER_PATTERN, SUBJECT } from '../wire/names.js';
import { createdFilter, ownerFilter, pageOf, pageQuery } from '../wire/page.js';
import { recordKind } from '../wire/record-kind.js';

export { SCOPES, type Scope };

/** `ksi_<id>_<secret>`: the id names the token in lists and logs; the secret is 256 random bits. */
export const TOKEN_PATTERN = '^ksi_([0-9a-f]{16})_([A-Za-z0-9_-]{43})$';
export const TOKEN_ID_PATTERN = '^([0-9a-f]{16}|local)$';

/** For example `600/minute`. */
export const RATE_PATTERN = '^[1-9][0-9]{0,8}/(second|minute|hour)$';

const given = {
  owner: Type.String({ pattern: OWNER_PATTERN, description: 'The owner of its tasks, sessions and agents.' }),
  scopes: Type.Array(Type.Enum([...SCOPES]), { minItems: 1, maxItems: SCOPES.length, uniqueItems: true }),
  all_owners: Type.Boolean({ description: "Sees other owners' resources too." }),
  description: Type.Optional(Type.String({ maxLength: 200, description: 'Its purpose, for people.' })),
  expires_at: Type.Optional(Type.String({ format: 'date-time' })),
  rate: Type.Optional(
    Type.String({ pattern: RATE_PATTERN, description: 'The spawn rate limit. Default: KSI_SPAWN_RATE.' }),
  ),
  concurrency: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 1_000_000,
      description: 'The maximum number of open tasks. Default: any number.',
    }),
  ),
};

const made = {
  token_id: Type.String({ pattern: TOKEN_ID_PATTERN }),
  created_at: Type.String({ format: 'date-time' }),
  created_by: Type.String({ description: 'The owner of the token that created it.' }),
};

/** A record of `ksi_tokens`. The token itself is not stored. */
export const TokenRecord = Type.Object({
  v: Type.Integer({ minimum: 1 }),
  ...made,
  ...given,
  hash: Type.String({ description: 'SHA-256 of its secret, in hexadecimal.' }),
});
export type TokenRecord = Static<typeof TokenRecord>;

export const TOKEN_RECORDS = recordKind(BUCKET.tokens, TokenRecord, SUBJECT.token, { markS: 0 });

export const TokenRequest = Type.Object(
  {
    ...given,
    owner: Type.Optional(given.owner),
    all_owners: Type.Optional(given.all_owners),
    expires_in_s: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 315_360_000,
        description: 'Instead of `expires_at`. Default: it does not expire.',
      }),
    ),
  },
  { additionalProperties: false },
);
export type TokenRequest = Static<typeof TokenRequest>;

export const TokenView = Type.Object({ ...made, ...given });
export type TokenView = Static<typeof TokenView>;

export const TokenCreated = Type.Object({
  ...TokenView.properties,
  token: Type.String({ description: 'Only this answer contains it: KSI stores only its hash.' }),
});
export type TokenCreated = Static<typeof TokenCreated>;

export const TokensQuery = pageQuery({ ...ownerFilter, ...createdFilter });
export type TokensQuery = Static<typeof TokensQuery>;

/** Oldest first. */
export const TokenPage = pageOf(TokenView, {});
export type TokenPage = Static<typeof TokenPage>;

export const TokenParams = Type.Object(
  { id: Type.String({ pattern: TOKEN_ID_PATTERN, description: "The token's id." }) },
  { additionalProperties: false },
);
export type TokenParams = Static<typeof TokenParams>;

/** A ticket admits one WebSocket of a browser, which cannot send headers: `GET /events?ticket=…`. */
export const TICKET_S = 30;
export const TICKET_PATTERN = '^[A-Za-z0-9_-]{43}$';
export const TicketCreated = Type.Object({
  ticket: Type.String({ pattern: TICKET_PATTERN, description: 'Valid for one connection.' }),
  expires_at: Type.String({ format: 'date-time' }),
});
export type TicketCreated = Static<typeof TicketCreated>;

/** A record of `ksi_tickets`. The ticket itself is not stored. */
export const TicketRecord = Type.Object({
  v: Type.Integer({ minimum: 1 }),
  token_id: Type.String(),
  expires: Type.Number({ description: "In ms since 1970, in the broker's time." }),
});

export const TICKET_RECORDS = recordKind(BUCKET.tickets, TicketRecord, SUBJECT.ticket, { ttlS: TICKET_S, markS: 0 });

export const OwnerParams = Type.Object(
  { id: Type.String({ pattern: OWNER_PATTERN }) },
  { additionalProperties: false },
);
export type OwnerParams = Static<typeof OwnerParams>;
