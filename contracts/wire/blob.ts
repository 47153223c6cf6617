import { Type, type Static } from 'typebox';

/** Where a body too large for a message lies in an object store: an event's in `ksi_blobs`, another's in `ksi_private_blobs`. */
export const BlobRef = Type.Object({
  name: Type.String({ description: "The object's name." }),
  size: Type.Integer({ minimum: 0, description: 'Bytes.' }),
});

/**
 * A body larger than this is nowhere parsed or kept in memory whole: workers keep its values as bytes, APIs tell its reference and stream it.
 */
export const LARGE_BODY_BYTES = 4 * 1_048_576;

export type BlobRef = Static<typeof BlobRef>;
