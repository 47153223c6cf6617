import { Type, type Static } from 'typebox';

/** Where a body too large for a message lies in an object store: an event's in `ksi_blobs`, another's in `ksi_private_blobs`. */
export const BlobRef = Type.Object({
  name: Type.String({ description: "The object's name." }),
  size: Type.Integer({ minimum: 0, description: 'Bytes.' }),
});
export type BlobRef = Static<typeof BlobRef>;
