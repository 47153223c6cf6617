import type { FastifyRequest } from 'fastify';
import { invalid } from '../../errors/api-error.js';

/**
 * Reads the expected revision of a change from the field `revision`, `If-Match` or `If-None-Match`.
 * @returns 0: no value may exist yet. Undefined: any revision. @throws {ApiError} invalid_request
 */
export function expectedRevision(
  { 'if-match': ifMatch, 'if-none-match': ifNone }: FastifyRequest['headers'],
  { revision: given }: { readonly revision?: unknown },
): number | undefined {
  const tag = /^"([1-9][0-9]{0,15})"$/.exec(ifMatch ?? '')?.[1];
  if (ifMatch !== undefined && tag === undefined)
    throw invalid([{ field: 'If-Match', message: 'must be one revision in quotes, as in `ETag`' }]);
  if (ifNone !== undefined && ifNone !== '*') throw invalid([{ field: 'If-None-Match', message: 'must be `*`' }]);
  const revisions = new Set([
    typeof given === 'number' ? given : undefined,
    tag === undefined ? undefined : Number(tag),
    ifNone === undefined ? undefined : 0,
  ]);
  revisions.delete(undefined);
  const [expected, another] = revisions;
  if (another !== undefined) throw invalid([{ field: 'revision', message: 'differs from the revision in the header' }]);
  return expected;
}

/** Whether an `If-None-Match` header of a read names this ETag (RFC 9110). A proxy may have made it a weak one. */
export const matchesTag = (header: string | undefined, tag: string): boolean =>
  header !== undefined &&
  header.split(',').some((each) => each.trim() === '*' || each.trim().replace(/^W\//, '') === tag);
