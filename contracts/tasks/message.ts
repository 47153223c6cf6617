import { Type, type Static } from 'typebox';

/** The message that a task answers. */
export const SourceMessage = Type.Object(
  {
    message_id: Type.String(),
    seq: Type.Optional(Type.Integer({ minimum: 1, description: 'Its sequence number in KSI_MESSAGES.' })),
    type: Type.String(),
    from: Type.Optional(Type.String()),
    conversation_id: Type.Optional(Type.String()),
    token_id: Type.Optional(Type.String()),
    hops: Type.Integer({ minimum: 0 }),
    exchange_id: Type.Optional(Type.String()),
    replies: Type.Optional(Type.Integer({ minimum: 1 })),
  },
  { description: 'The message that a managed agent answers with this task.' },
);
export type SourceMessage = Static<typeof SourceMessage>;
