import { Type, type Static } from 'typebox';
import { AGENT_KINDS, AgentOptions, AGENT_TOOL_GROUPS, MESSAGE_TYPE_PATTERN } from './agents.js';
import { PROMPT_NAME_PATTERN, PromptContext } from '../prompts/compositions.js';
import { BUCKET, SUBJECT } from '../wire/names.js';
import { pageOf } from '../wire/page.js';
import { expectedRevision } from '../wire/revision.js';
import { recordKind } from '../wire/record-kind.js';

const closed = { additionalProperties: false };

/** The defaults for agents of a profile. Fields in a request take precedence. */
const profileFields = {
  description: Type.Optional(Type.String({ maxLength: 2_000 })),
  kind: Type.Optional(Type.Enum([...AGENT_KINDS], { default: 'managed' })),
  role: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
  capabilities: Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 64 }), { maxItems: 64 })),
  subscriptions: Type.Optional(Type.Array(Type.String({ pattern: MESSAGE_TYPE_PATTERN }), { maxItems: 64 })),
  composition: Type.Optional(
    Type.String({
      pattern: PROMPT_NAME_PATTERN,
      description: 'The composition of its prompt. Default: the best match.',
    }),
  ),
  variables: Type.Optional(PromptContext),
  options: Type.Optional(AgentOptions),
  agent_tools: Type.Optional(Type.Array(Type.Enum([...AGENT_TOOL_GROUPS]))),
};

export const Profile = Type.Object(profileFields, closed);
export type Profile = Static<typeof Profile>;

/** `api`: stored through the API by one owner, and takes precedence over a file of the same name. `own` and `library` are files, visible to all owners. */
export const PROFILE_ORIGINS = ['api', 'own', 'library'] as const;

export const ProfileView = Type.Object({
  name: Type.String(),
  ...profileFields,
  origin: Type.Enum([...PROFILE_ORIGINS], {
    description:
      '`api`: yours, stored with PUT /profiles/:name. `own`: a file of the operator. `library`: comes with KSI.',
  }),
  revision: Type.Optional(Type.Integer({ description: 'The revision of a profile with origin `api`.' })),
  updated_at: Type.Optional(Type.String({ format: 'date-time' })),
});
export type ProfileView = Static<typeof ProfileView>;

/** An entry of `ksi_profiles`. */
export const ProfileRecord = Type.Object({
  v: Type.Integer({ minimum: 1 }),
  name: Type.String(),
  owner: Type.String(),
  profile: Profile,
  updated_at: Type.String({ format: 'date-time' }),
});
export type ProfileRecord = Static<typeof ProfileRecord>;

export const PROFILE_RECORDS = recordKind(BUCKET.profiles, ProfileRecord, SUBJECT.profile, {
  markS: 86_400,
  most: 20_000,
});

export const ProfileSet = Type.Object({ ...profileFields, ...expectedRevision }, closed);
export type ProfileSet = Static<typeof ProfileSet>;
export const ProfileRemoval = Type.Object(expectedRevision, closed);
export type ProfileRemoval = Static<typeof ProfileRemoval>;

/** By name. */
export const ProfilePage = pageOf(ProfileView, {
  broken: Type.Array(Type.Object({ name: Type.String(), problem: Type.String() }), {
    description: 'Files that are not valid profiles, with the reason.',
  }),
});
export type ProfilePage = Static<typeof ProfilePage>;
