import { Type, type Static } from 'typebox';
import { BlobRef } from '../wire/blob.js';
import { GIVEN_UP } from '../wire/errors.js';
import { endedFilter, ownerFilter, pageOf, pageQuery } from '../wire/page.js';
import { QUEUE_PATTERN } from '../wire/names.js';
import { TaskErrorBody } from './error-body.js';

const identity = {
  v: Type.Integer(),
  task_id: Type.String(),
  session_id: Type.String(),
  session_name: Type.Optional(Type.String()),
  owner: Type.String(),
  queue: Type.String(),
  given_up: Type.Enum([...GIVEN_UP]),
  /** Time of the outcome. */
  timestamp: Type.String({ format: 'date-time' }),
  error: TaskErrorBody,
};

/**
 * A task that was given up, stored in KSI_DEAD under `ksi.dead.<queue>.<task_id>`. Its outcome in KSI_EVENTS is a SPAWN_ERROR with
 * `given_up`. A task that failed with an error that is not retryable has no dead letter.
 */
export const DeadLetter = Type.Object({
  ...identity,
  command: Type.Unknown({ description: 'The SpawnCommand as it was accepted, or its text if it cannot be parsed.' }),
  history: Type.Array(
    Type.Object({ seq: Type.Integer(), type: Type.String(), timestamp: Type.String(), data: Type.Unknown() }),
    { description: "The task's state events, oldest first, without Claude's output." },
  ),
});
export type DeadLetter = Static<typeof DeadLetter>;

/** Stored in the stream in place of a dead letter that is too large for a message. `ref` refers to the JSON of the DeadLetter. */
export const DeadLetterRef = Type.Object({ ...identity, ref: BlobRef });
export type DeadLetterRef = Static<typeof DeadLetterRef>;

/** A dead letter in a list, without its command and history. */
export const DeadSummary = Type.Object({
  task_id: Type.String(),
  session_id: Type.String(),
  session_name: Type.Optional(Type.String()),
  owner: Type.String(),
  queue: Type.String(),
  given_up: Type.Enum([...GIVEN_UP]),
  timestamp: Type.String({ format: 'date-time', description: 'Time of the outcome.' }),
  error: TaskErrorBody,
});
export type DeadSummary = Static<typeof DeadSummary>;

const deadFilter = {
  queue: Type.Optional(Type.String({ pattern: QUEUE_PATTERN })),
  ...ownerFilter,
  ...endedFilter,
};

export const DeadQuery = pageQuery(deadFilter);
export type DeadQuery = Static<typeof DeadQuery>;

/** Oldest first. */
export const DeadPage = pageOf(DeadSummary, {});
export type DeadPage = Static<typeof DeadPage>;

export const DeadRetryRequest = Type.Object(
  {
    ...deadFilter,
    limit: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 1000,
        default: 100,
        description: 'How many dead letters to retry at most, oldest first.',
      }),
    ),
  },
  { additionalProperties: false },
);
export type DeadRetryRequest = Static<typeof DeadRetryRequest>;

export const DeadRetryAnswer = Type.Object({
  retried: Type.Array(Type.Object({ retry_of: Type.String(), task_id: Type.String() })),
  refused: Type.Array(Type.Object({ task_id: Type.String(), code: Type.String(), detail: Type.String() }), {
    description: 'Dead letters that were not retried. They stay.',
  }),
});
export type DeadRetryAnswer = Static<typeof DeadRetryAnswer>;
