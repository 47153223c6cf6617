import { Type, type Static } from 'typebox';

/** A task's error, in events, answers and dead letters. */
export const TaskErrorBody = Type.Object({
  code: Type.String({ description: 'A stable code from the table of task errors.' }),
  message: Type.String({ description: 'What happened, why, and what to do next.' }),
  retryable: Type.Boolean(),
  detail: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
});
export type TaskErrorBody = Static<typeof TaskErrorBody>;
