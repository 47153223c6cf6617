import { Type, type Static } from 'typebox';
import { createdFilter, ownerFilter, pageOf, pageQuery } from '../wire/page.js';
import { Always } from './approval-rules.js';

/** `<task_id>.<attempt>.<number>`: another attempt asks again, with another id. */
export const APPROVAL_ID_PATTERN =
  '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\\.[1-9][0-9]{0,8}\\.[1-9][0-9]{0,8}$';

const toolInput = Type.Record(Type.String(), Type.Unknown());

/** What Claude wants to be allowed: in APPROVAL_REQUESTED, on tasks, and in GET /approvals. */
export const approvalFields = {
  approval_id: Type.String({ pattern: APPROVAL_ID_PATTERN }),
  attempt: Type.Integer({ minimum: 1 }),
  kind: Type.Enum(['tool', 'question', 'plan'], {
    description:
      '`question`: Claude asks the user something (AskUserQuestion). `plan`: it asks to carry out the plan in `input.plan` (ExitPlanMode).',
  }),
  tool: Type.String(),
  input: Type.Optional(toolInput),
  title: Type.Optional(Type.String({ description: 'What it wants, in words.' })),
  reason: Type.Optional(Type.String({ description: 'Why it has to ask.' })),
  expires_at: Type.String({ format: 'date-time', description: 'It is refused then.' }),
};

export const Approval = Type.Object({
  ...approvalFields,
  task_id: Type.String(),
  session_id: Type.String(),
  session_name: Type.Optional(Type.String()),
  agent_id: Type.Optional(Type.String()),
  owner: Type.String(),
  requested_at: Type.String({ format: 'date-time' }),
});
export type Approval = Static<typeof Approval>;

/** They are created when they are requested. */
export const ApprovalsQuery = pageQuery({ ...ownerFilter, ...createdFilter });
export type ApprovalsQuery = Static<typeof ApprovalsQuery>;

/** Oldest first. */
export const ApprovalPage = pageOf(Approval, {});
export type ApprovalPage = Static<typeof ApprovalPage>;

export const ApprovalParams = Type.Object(
  { id: Type.String({ pattern: APPROVAL_ID_PATTERN, description: "The approval's id." }) },
  { additionalProperties: false },
);
export type ApprovalParams = Static<typeof ApprovalParams>;

/** In which permission mode a plan may be carried out. */
const CARRY_OUT_MODES = ['default', 'acceptEdits'] as const;

export const ApprovalAnswer = Type.Object(
  {
    decision: Type.Enum(['allow', 'deny']),
    input: Type.Optional(
      Type.Record(Type.String(), Type.Unknown(), {
        description: "To allow: the tool's input in the place of Claude's.",
      }),
    ),
    answers: Type.Optional(
      Type.Record(Type.String(), Type.String(), { description: 'To a question: the answer to each, by its text.' }),
    ),
    permission_mode: Type.Optional(
      Type.Enum([...CARRY_OUT_MODES], {
        default: 'default',
        description:
          'To allow a plan: how it is carried out. `acceptEdits`: edits in the working folder are not asked about.',
      }),
    ),
    always: Type.Optional(Always),
    message: Type.Optional(
      Type.String({ maxLength: 10_000, description: 'To deny: what Claude is told, so that it can do otherwise.' }),
    ),
  },
  { additionalProperties: false },
);
export type ApprovalAnswer = Static<typeof ApprovalAnswer>;

/** How one came to its end. `expired`: nobody answered; `withdrawn`: Claude wants it no more, as its turn was ended. */
export const APPROVAL_DECISIONS = ['allow', 'deny', 'expired', 'withdrawn'] as const;

export const ApprovalResolved = Type.Object({
  approval_id: Type.String(),
  task_id: Type.String(),
  decision: Type.Enum([...APPROVAL_DECISIONS]),
  rule_id: Type.Optional(Type.String({ description: 'The rule that `always` has made.' })),
  rule_error: Type.Optional(
    Type.Object(
      { code: Type.String(), message: Type.String() },
      { description: 'Why `always` has made no rule. The answer itself is stored.' },
    ),
  ),
});
export type ApprovalResolved = Static<typeof ApprovalResolved>;
