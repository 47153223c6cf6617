import { Type } from 'typebox';
import { BlobRef } from '../wire/blob.js';
import { CONVERSATION_MODES } from '../wire/choices.js';
import { END_REASONS, LINE_KINDS } from './conversations.js';

const fields = { conversation_id: Type.String(), owner: Type.String() };
const by = { by: Type.String({ description: 'The owner of the token that made the request.' }) };
const cost = { total_cost_usd: Type.Number({ description: 'The cost of the conversation so far.' }) };

/** A line of the transcript. */
const line = {
  ...fields,
  id: Type.String(),
  line: Type.Integer({ minimum: 1, description: 'The number of the line in the transcript: 1, 2, 3 …' }),
  kind: Type.Enum([...LINE_KINDS]),
  name: Type.String(),
  at: Type.String({ format: 'date-time' }),
  text: Type.Optional(Type.String()),
  ref: Type.Optional(BlobRef),
  ...cost,
};

/** Events on `ksi.events.conversation.<id>.<event>`, each stored once and in order. */
export const conversationEvents = {
  CONVERSATION_STARTED: Type.Object({
    ...fields,
    topic: Type.String(),
    mode: Type.Enum([...CONVERSATION_MODES]),
    participants: Type.Array(Type.Object({ name: Type.String(), agent_id: Type.String(), part: Type.String() })),
  }),
  CONVERSATION_TURN: Type.Object({
    ...line,
    turn: Type.Integer({ minimum: 1 }),
    agent_id: Type.String(),
    part: Type.String(),
    task_id: Type.Optional(Type.String()),
    cost_usd: Type.Optional(Type.Number({ description: 'The cost of this turn.' })),
    error: Type.Optional(Type.String({ description: 'The error of a failed turn.' })),
  }),
  /** A person added a line. */
  CONVERSATION_SAID: Type.Object(line),
  CONVERSATION_PAUSED: Type.Object({ ...fields, ...by }),
  CONVERSATION_RESUMED: Type.Object({ ...fields, ...by }),
  CONVERSATION_ENDED: Type.Object({
    ...fields,
    reason: Type.Enum([...END_REASONS]),
    turns: Type.Integer(),
    ...cost,
    by: Type.Optional(Type.String()),
    error: Type.Optional(
      Type.String({ description: 'The error that ended the conversation, if `reason` is `failed`.' }),
    ),
  }),
  CONVERSATION_DELETED: Type.Object({ ...fields, ...by }),
} as const;
