import type { FastifyRequest } from 'fastify';
import { invalid } from '../../errors/api-error.js';

/** The revision that a change expects, by its field or header; 0: there is no value yet. @throws {ApiError} */
export function expectedRevision(
  { 'if-match': ifMatch, 'if-none-match': ifNone }: FastifyRequest['headers'],
  { revision: given }: { readonly revision?: unknown },
): number | undefined {
  const tag = /^"([1-9][0-9]{0,15})"$/.exec(ifMatch ?? '')?.[1];
  if (ifMatch !== undefined && tag === undefined)
    throw invalid([{ field: 'If-Match', message: 'must be one revision in quotes, as `ETag` has it' }]);
  if (ifNone !== undefined && ifNone !== '*') throw invalid([{ field: 'If-None-Match', message: 'must be `*`' }]);
  const all = new Set([
    typeof given === 'number' ? given : undefined,
    tag === undefined ? undefined : Number(tag),
    ifNone === undefined ? undefined : 0,
  ]);
  all.delete(undefined);
  const [expected, another] = all;
  if (another !== undefined)
    throw invalid([{ field: 'revision', message: 'is not the revision that the header names' }]);
  return expected;
}
