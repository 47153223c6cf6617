import { Type, type Static } from 'typebox';
import { UUID_PATTERN, BUCKET, SUBJECT } from '../wire/names.js';
import { TOOL_RULE_PATTERN } from './tool-policy.js';
import { createdFilter, ownerFilter, pageOf, pageQuery } from '../wire/page.js';
import { recordKind } from '../wire/record-kind.js';

/** Whose tasks a rule is for: those of one session, of one agent, or all of an owner. */
export const RULE_SCOPES = ['session', 'agent', 'owner'] as const;

/** With an answer that allows: the same is allowed from now on. */
export const Always = Type.Object(
  {
    scope: Type.Enum([...RULE_SCOPES], {
      description: "For the task's session, its agent, or all tasks of its owner.",
    }),
    rule: Type.Optional(
      Type.String({
        pattern: TOOL_RULE_PATTERN,
        description:
          'What is allowed, as in `allowed_tools`; it must fit what is asked. Default: the same command of Bash, the same domain of WebFetch; of another tool any use, in the scope `session` only.',
        examples: ['Bash(git log:*)'],
      }),
    ),
  },
  { additionalProperties: false },
);
export type Always = Static<typeof Always>;

/** Allows what Claude asks for without asking a person: an entry of `ksi_approval_rules`. */
export const ApprovalRule = Type.Object({
  rule_id: Type.String({ pattern: UUID_PATTERN }),
  owner: Type.String({ description: 'Whose tasks it is for.' }),
  scope: Type.Enum([...RULE_SCOPES]),
  session_id: Type.Optional(Type.String()),
  agent_id: Type.Optional(Type.String()),
  rule: Type.String({ description: 'What is allowed, as in `allowed_tools`.' }),
  approval_id: Type.String({ description: 'The approval that was answered so.' }),
  by: Type.String({ description: 'The owner of the token that answered.' }),
  token_id: Type.String(),
  created_at: Type.String({ format: 'date-time' }),
});
export type ApprovalRule = Static<typeof ApprovalRule>;

/** An owner has few: each approval of the owner is compared with all of them. */
export const APPROVAL_RULES = recordKind(BUCKET.approvalRules, ApprovalRule, SUBJECT.approvalRule, {
  markS: 86_400,
  watched: true,
  most: 1_000,
});

export const ApprovalRulesQuery = pageQuery({ ...ownerFilter, ...createdFilter });
export type ApprovalRulesQuery = Static<typeof ApprovalRulesQuery>;

/** Oldest first. */
export const ApprovalRulePage = pageOf(ApprovalRule, {});
export type ApprovalRulePage = Static<typeof ApprovalRulePage>;

export const ApprovalRuleParams = Type.Object(
  { id: Type.String({ pattern: UUID_PATTERN, description: "The rule's id." }) },
  { additionalProperties: false },
);
export type ApprovalRuleParams = Static<typeof ApprovalRuleParams>;
