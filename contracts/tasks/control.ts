import { Type, type Static } from 'typebox';
import { UUID_PATTERN } from '../wire/names.js';
import { ApprovalAnswer, APPROVAL_ID_PATTERN } from './approvals.js';

const by = { by: Type.Optional(Type.String({ maxLength: 256, description: 'Who asks; stands in the event.' })) };
const closed = { additionalProperties: false };

/** What may be asked of the worker that runs a task, on `ksi.control.<process>.task.<task_id>.<verb>`. */
export const CONTROL_REQUESTS = {
  cancel: Type.Object(by, closed),
  interrupt: Type.Object(by, closed),
  input: Type.Object({ ...by, text: Type.String({ minLength: 1 }) }, closed),
  approve: Type.Object(
    {
      ...by,
      approval_id: Type.String({ pattern: APPROVAL_ID_PATTERN }),
      rule_id: Type.Optional(
        Type.String({ pattern: UUID_PATTERN, description: 'The rule that answers, or is made so.' }),
      ),
      ...Type.Omit(ApprovalAnswer, ['always']).properties,
    },
    closed,
  ),
} as const;
export type ControlVerb = keyof typeof CONTROL_REQUESTS;
export type ControlRequest<V extends ControlVerb> = Static<(typeof CONTROL_REQUESTS)[V]>;

export const isControlVerb = (verb: string): verb is ControlVerb => Object.hasOwn(CONTROL_REQUESTS, verb);

/**
 * `ok` to `cancel`: SPAWN_CANCELLED is stored; to `interrupt`: Claude is told; to `input`: SPAWN_INPUT is stored; to `approve`: APPROVAL_RESOLVED is stored. Else
 * `ended`: the task has its outcome or is to be tried again, or takes no more input; `not_running`: this attempt has lost the
 * task, another one has it or will; `answered`, `unknown_approval`; `not_allowed`: the edited input is against a policy, `no_answer`: the answers are not to what is asked, as `why` says.
 */
export const ControlAnswer = Type.Union([
  Type.Object({ ok: Type.Literal(true) }),
  Type.Object({
    ok: Type.Literal(false),
    error: Type.Enum([
      'ended',
      'not_running',
      'invalid_request',
      'answered',
      'unknown_approval',
      'not_allowed',
      'no_answer',
    ]),
    why: Type.Optional(Type.String()),
  }),
]);
export type ControlAnswer = Static<typeof ControlAnswer>;
