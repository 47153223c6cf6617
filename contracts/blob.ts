import { Type, type Static } from 'typebox';

/** Where a body too large for a message lies in the object store `ksi_blobs`. */
export const BlobRef = Type.Object({
  name: Type.String({ description: "The object's name in ksi_blobs." }),
  size: Type.Integer({ minimum: 0, description: 'Bytes.' }),
});
export type BlobRef = Static<typeof BlobRef>;
