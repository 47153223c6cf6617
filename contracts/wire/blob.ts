import { Type, type Static } from 'typebox';

/** A reference to a body that was too large for a message: an object in `ksi_blobs` (events) or `ksi_private_blobs` (others). */
export const BlobRef = Type.Object({
  name: Type.String({ description: "The object's name." }),
  size: Type.Integer({ minimum: 0, description: 'The size in bytes.' }),
});

/** Bodies larger than this are never parsed or held in memory as a whole: workers keep values as bytes, APIs send the reference and stream. */
export const LARGE_BODY_BYTES = 4 * 1_048_576;

export type BlobRef = Static<typeof BlobRef>;
