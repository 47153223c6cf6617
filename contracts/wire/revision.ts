import { Type } from 'typebox';

/** A record's revision. Each change of the record makes it greater. */
export const revision = Type.Integer({ minimum: 1, description: 'Grows with each change. It is the `ETag`.' });

/** The revision that a change expects. */
export const expectedRevision = {
  revision: Type.Optional(
    Type.Integer({
      minimum: 0,
      description:
        'Change nothing and answer 412 unless this is the revision now; 0: unless there is nothing yet. `If-Match` and `If-None-Match: *` say the same.',
    }),
  ),
};
