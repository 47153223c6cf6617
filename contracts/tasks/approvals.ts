import { Type, type Static } from 'typebox';
import { createdFilter, ownerFilter, pageOf, pageQuery } from '../wire/page.js';
import { Always } from './approval-rules.js';

/** `<task_id>.<attempt>.<number>`: each attempt requests its own approvals. */
export const APPROVAL_ID_PATTERN =
  '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\\.[1-9][0-9]{0,8}\\.[1-9][0-9]{0,8}$';

const toolInput = Type.Record(Type.String(), Type.Unknown());

/** The fields of a requested approval, in APPROVAL_REQUESTED, on tasks and in GET /approvals. */
export const approvalFields = {
  approval_id: Type.String({ pattern: APPROVAL_ID_PATTERN }),
  attempt: Type.Integer({ minimum: 1 }),
  kind: Type.Enum(['tool', 'question', 'plan'], {
    description:
      '`tool`: a tool call. `question`: Claude asks the user a question (AskUserQuestion). `plan`: Claude asks to carry out the plan in `input.plan` (ExitPlanMode).',
  }),
  tool: Type.String(),
  input: Type.Optional(toolInput),
  title: Type.Optional(Type.String({ description: 'A description of the request.' })),
  reason: Type.Optional(Type.String({ description: 'Why an approval is needed.' })),
  expires_at: Type.String({
    format: 'date-time',
    description: 'The request is refused at this time unless it was answered.',
  }),
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

/** The filters for `created` apply to `requested_at`. */
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

/** The permission modes in which a plan may be carried out. */
const CARRY_OUT_MODES = ['default', 'acceptEdits'] as const;

export const ApprovalAnswer = Type.Object(
  {
    decision: Type.Enum(['allow', 'deny']),
    input: Type.Optional(
      Type.Record(Type.String(), Type.Unknown(), {
        description: 'With `allow`: the tool input to use instead of the one that Claude wrote.',
      }),
    ),
    answers: Type.Optional(
      Type.Record(Type.String(), Type.String(), {
        description: 'For kind `question`: the answers, keyed by the text of the question.',
      }),
    ),
    permission_mode: Type.Optional(
      Type.Enum([...CARRY_OUT_MODES], {
        default: 'default',
        description:
          'With `allow`, for kind `plan`: the permission mode in which the plan is carried out. `acceptEdits`: edits in the working folder need no approval.',
      }),
    ),
    always: Type.Optional(Always),
    message: Type.Optional(
      Type.String({
        maxLength: 10_000,
        description: 'With `deny`: a message for Claude, so that it can try something else.',
      }),
    ),
  },
  { additionalProperties: false },
);
export type ApprovalAnswer = Static<typeof ApprovalAnswer>;

/** How an approval ended. `expired`: nobody answered in time. `withdrawn`: the turn of Claude ended before an answer. */
export const APPROVAL_DECISIONS = ['allow', 'deny', 'expired', 'withdrawn'] as const;

export const ApprovalResolved = Type.Object({
  approval_id: Type.String(),
  task_id: Type.String(),
  decision: Type.Enum([...APPROVAL_DECISIONS]),
  rule_id: Type.Optional(Type.String({ description: 'The rule that `always` created.' })),
  rule_error: Type.Optional(
    Type.Object(
      { code: Type.String(), message: Type.String() },
      { description: 'Why `always` created no rule. The answer itself is stored.' },
    ),
  ),
});
export type ApprovalResolved = Static<typeof ApprovalResolved>;
