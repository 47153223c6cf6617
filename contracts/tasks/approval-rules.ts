import { Type, type Static } from 'typebox';
import { UUID_PATTERN, BUCKET, SUBJECT } from '../wire/names.js';
import { TOOL_RULE_PATTERN } from './tool-policy.js';
import { createdFilter, ownerFilter, pageOf, pageQuery } from '../wire/page.js';
import { recordKind } from '../wire/record-kind.js';

/** The tasks that a rule applies to: those of one session, those of one agent, or all tasks of an owner. */
export const RULE_SCOPES = ['session', 'agent', 'owner'] as const;

/** Given with `allow`: creates a rule that allows the same tool use from now on. */
export const Always = Type.Object(
  {
    scope: Type.Enum([...RULE_SCOPES], {
      description: "Apply the rule to the task's session, to its agent, or to all tasks of its owner.",
    }),
    rule: Type.Optional(
      Type.String({
        pattern: TOOL_RULE_PATTERN,
        description:
          'The tool use to allow, in the format of `allowed_tools`. It must match the requested tool use. Default: for Bash the same command, for WebFetch the same domain. For other tools the default is any use, in the scope `session` only.',
        examples: ['Bash(git log:*)'],
      }),
    ),
  },
  { additionalProperties: false },
);
export type Always = Static<typeof Always>;

/** Allows tool calls without asking a person. An entry of `ksi_approval_rules`. */
export const ApprovalRule = Type.Object({
  rule_id: Type.String({ pattern: UUID_PATTERN }),
  owner: Type.String({ description: 'The owner whose tasks it applies to.' }),
  scope: Type.Enum([...RULE_SCOPES]),
  session_id: Type.Optional(Type.String()),
  agent_id: Type.Optional(Type.String()),
  rule: Type.String({ description: 'The allowed tool use, in the format of `allowed_tools`.' }),
  approval_id: Type.String({ description: 'The approval whose answer created the rule.' }),
  by: Type.String({ description: 'The owner of the token that answered the approval.' }),
  token_id: Type.String(),
  created_at: Type.String({ format: 'date-time' }),
});
export type ApprovalRule = Static<typeof ApprovalRule>;

/** The limit per owner is low because each approval is compared with all rules of its owner. */
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
