import { Type, type Static } from 'typebox';
import { AGENT_PATTERN } from './agents.js';
import { UUID_PATTERN, BUCKET, SUBJECT } from '../wire/names.js';
import { OWNER_PATTERN } from '../wire/names.js';
import { createdFilter, ownerFilter, pageOf, pageQuery } from '../wire/page.js';
import { expectedRevision, revision } from '../wire/revision.js';
import { recordKind } from '../wire/record-kind.js';

const closed = { additionalProperties: false };

const displayName = Type.String({
  minLength: 1,
  maxLength: 128,
  description: 'Default: `<Role>-<last 4 of agent_id>`; without a role `Agent-<last 8>`.',
});
const role = Type.String({ minLength: 1, maxLength: 64, description: 'Default: `general`.' });
const traits = Type.Array(Type.String({ minLength: 1, maxLength: 64 }), {
  maxItems: 32,
  description: 'Default: four traits that match the role.',
});

export const Appearance = Type.Object(
  {
    avatar_style: Type.String({ maxLength: 64 }),
    color_theme: Type.String({ maxLength: 64 }),
    icon: Type.String({ maxLength: 64 }),
  },
  closed,
);
export type Appearance = Static<typeof Appearance>;

const preferences = Type.Object(
  {
    communication_style: Type.String({ maxLength: 64 }),
    verbosity: Type.String({ maxLength: 64 }),
    formality: Type.String({ maxLength: 64 }),
  },
  closed,
);
const count = Type.Integer({ minimum: 0 });
const stats = Type.Object(
  {
    messages_sent: count,
    conversations_participated: count,
    tasks_completed: count,
    tools_used: Type.Array(Type.String({ maxLength: 256 }), { maxItems: 1024 }),
  },
  closed,
);
const session = Type.Object(
  { session_id: Type.String({ maxLength: 128 }), started_at: Type.Optional(Type.String({ format: 'date-time' })) },
  closed,
);

/** The fields of an identity that can change. */
const changeableFields = {
  display_name: displayName,
  role,
  personality_traits: traits,
  appearance: Appearance,
  conversation_count: count,
  sessions: Type.Array(session, { maxItems: 1024 }),
  preferences,
  stats,
};

/** How an agent appears to people: an entry of `ksi_identities`. The agent need not be registered. */
const identityFields = {
  identity_uuid: Type.String({ description: 'Never changes.' }),
  agent_id: Type.String({ description: 'Never changes.' }),
  owner: Type.String({ pattern: OWNER_PATTERN }),
  ...changeableFields,
  created_at: Type.String({ format: 'date-time', description: 'Never changes.' }),
  last_active: Type.String({ format: 'date-time', description: 'Time of the last change.' }),
};
export const Identity = Type.Object({ ...identityFields, revision });
export type Identity = Static<typeof Identity>;

export const IdentityRecord = Type.Object({ v: Type.Integer({ minimum: 1 }), ...identityFields });
export type IdentityRecord = Static<typeof IdentityRecord>;

export const IDENTITY_RECORDS = recordKind(BUCKET.identities, IdentityRecord, SUBJECT.identity, {
  markS: 86_400,
  most: 20_000,
});

export const IdentityRequest = Type.Object(
  {
    agent_id: Type.String({ pattern: AGENT_PATTERN }),
    display_name: Type.Optional(displayName),
    role: Type.Optional(role),
    personality_traits: Type.Optional(traits),
    appearance: Type.Optional(Appearance),
    identity_uuid: Type.Optional(
      Type.String({ pattern: UUID_PATTERN, description: 'For an identity that you import. Default: a new UUID.' }),
    ),
    created_at: Type.Optional(
      Type.String({ format: 'date-time', description: 'For an identity that you import. Default: now.' }),
    ),
  },
  closed,
);
export type IdentityRequest = Static<typeof IdentityRequest>;

/** Present fields replace the stored ones. `appearance`, `preferences` and `stats` are merged field by field. */
export const IdentityUpdate = Type.Object(
  {
    display_name: Type.Optional(displayName),
    role: Type.Optional(role),
    personality_traits: Type.Optional(traits),
    appearance: Type.Optional(Type.Partial(Appearance, closed)),
    conversation_count: Type.Optional(count),
    sessions: Type.Optional(changeableFields.sessions),
    preferences: Type.Optional(Type.Partial(preferences, closed)),
    stats: Type.Optional(Type.Partial(stats, closed)),
    ...expectedRevision,
  },
  closed,
);
export type IdentityUpdate = Static<typeof IdentityUpdate>;

export const IdentityParams = Type.Object(
  { agent_id: Type.String({ pattern: AGENT_PATTERN, description: "The agent's id." }) },
  closed,
);
export type IdentityParams = Static<typeof IdentityParams>;

export const IdentityRemoval = Type.Object(expectedRevision, closed);
export type IdentityRemoval = Static<typeof IdentityRemoval>;

export const IdentitiesQuery = pageQuery({ ...ownerFilter, ...createdFilter });
export type IdentitiesQuery = Static<typeof IdentitiesQuery>;

/** By agent_id. */
export const IdentityPage = pageOf(Identity, {});
export type IdentityPage = Static<typeof IdentityPage>;
