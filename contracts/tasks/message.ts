import { Type, type Static } from 'typebox';

/** Which message a task is run for. */
export const SourceMessage = Type.Object(
  {
    message_id: Type.String(),
    seq: Type.Optional(Type.Integer({ minimum: 1, description: 'Its place in KSI_MESSAGES.' })),
    type: Type.String(),
    from: Type.Optional(Type.String()),
    conversation_id: Type.Optional(Type.String()),
    token_id: Type.Optional(Type.String()),
    hops: Type.Integer({ minimum: 0 }),
    exchange_id: Type.Optional(Type.String()),
    replies: Type.Optional(Type.Integer({ minimum: 1 })),
  },
  { description: 'The message that a managed agent answers with it.' },
);
export type SourceMessage = Static<typeof SourceMessage>;
