import { Type, type Static } from 'typebox';
import { UUID_PATTERN } from '../wire/names.js';
import { ApprovalAnswer, APPROVAL_ID_PATTERN } from './approvals.js';

const by = {
  by: Type.Optional(
    Type.String({ maxLength: 256, description: 'The owner who sends the request. The event contains it.' }),
  ),
};
const closed = { additionalProperties: false };

/** The requests to a worker about a task that it runs, on `ksi.control.<process>.task.<task_id>.<verb>`. */
export const CONTROL_REQUESTS = {
  cancel: Type.Object(by, closed),
  interrupt: Type.Object(by, closed),
  input: Type.Object({ ...by, text: Type.String({ minLength: 1 }) }, closed),
  approve: Type.Object(
    {
      ...by,
      approval_id: Type.String({ pattern: APPROVAL_ID_PATTERN }),
      rule_id: Type.Optional(
        Type.String({
          pattern: UUID_PATTERN,
          description: 'The rule that answers the approval, or that the answer creates.',
        }),
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
 * `ok` means: SPAWN_CANCELLED is stored (`cancel`), Claude got the interrupt (`interrupt`), SPAWN_INPUT is stored (`input`), APPROVAL_RESOLVED is stored (`approve`).
 * Errors that need an explanation:
 * - `ended`: the task has its outcome, waits for a retry, or takes no more input
 * - `not_running`: this attempt no longer holds the lease of the task
 * - `not_allowed`: a policy denies the edited input; `why` says which
 * - `no_answer`: the answers do not match the questions; `why` says how
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
    detail: Type.Optional(Type.String()),
  }),
]);
export type ControlAnswer = Static<typeof ControlAnswer>;
