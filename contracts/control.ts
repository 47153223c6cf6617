import { Type, type Static } from 'typebox';

/** What may be asked of the worker that runs a task, on `ksi.control.<process>.task.<task_id>.<verb>`. */
export const CONTROL_VERBS = ['cancel', 'interrupt'] as const;
export type ControlVerb = (typeof CONTROL_VERBS)[number];

export const ControlRequest = Type.Object(
  { by: Type.Optional(Type.String({ maxLength: 256, description: 'Who asks; stands in SPAWN_CANCELLED.' })) },
  { additionalProperties: false },
);
export type ControlRequest = Static<typeof ControlRequest>;

/**
 * `ok` to `cancel`: SPAWN_CANCELLED is stored; to `interrupt`: Claude is told. Else `ended`: the task has its outcome or
 * is to be tried again; `not_running`: this attempt has lost the task, another one has it or will.
 */
export const ControlAnswer = Type.Union([
  Type.Object({ ok: Type.Literal(true) }),
  Type.Object({ ok: Type.Literal(false), error: Type.Enum(['ended', 'not_running', 'invalid_request']) }),
]);
export type ControlAnswer = Static<typeof ControlAnswer>;
