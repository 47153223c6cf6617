import { Type, type Static } from 'typebox';

/** An RFC 9457 problem document. */
export const Problem = Type.Object({
  type: Type.String({ description: 'A URI that identifies the error code.' }),
  title: Type.String(),
  status: Type.Integer(),
  code: Type.String({ description: 'The stable error code. Rely on this, not on the texts.' }),
  detail: Type.String({ description: 'What happened, and what to do next.' }),
  request_id: Type.Optional(Type.String({ description: '`X-Request-Id` of the answer; the logs name it too.' })),
  errors: Type.Optional(Type.Array(Type.Object({ field: Type.String(), message: Type.String() }))),
});
export type Problem = Static<typeof Problem>;
