import { Type, type Static } from 'typebox';
import { BlobRef } from '../wire/blob.js';
import { GIVEN_UP } from '../wire/errors.js';
import { TaskErrorBody } from './error-body.js';

const identity = {
  v: Type.Integer(),
  task_id: Type.String(),
  session_id: Type.String(),
  session_name: Type.Optional(Type.String()),
  owner: Type.String(),
  queue: Type.String(),
  given_up: Type.Enum([...GIVEN_UP]),
  /** Of the outcome. */
  timestamp: Type.String({ format: 'date-time' }),
  error: TaskErrorBody,
};

/**
 * A task that was given up, as it stands in KSI_DEAD under `ksi.dead.<queue>.<task_id>`. Its outcome in KSI_EVENTS is a
 * SPAWN_ERROR that says `given_up`; an error after which no attempt helps is only an outcome.
 */
export const DeadLetter = Type.Object({
  ...identity,
  command: Type.Unknown({ description: 'The SpawnCommand as it was accepted; text if it could not be read.' }),
  history: Type.Array(
    Type.Object({ seq: Type.Integer(), type: Type.String(), timestamp: Type.String(), data: Type.Unknown() }),
    { description: "The task's state events, oldest first, without Claude's output." },
  ),
});
export type DeadLetter = Static<typeof DeadLetter>;

/** What stands in the stream in place of one that is too large for a message: `ref` is the DeadLetter's JSON. */
export const DeadLetterRef = Type.Object({ ...identity, ref: BlobRef });
export type DeadLetterRef = Static<typeof DeadLetterRef>;
