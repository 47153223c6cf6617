import { CliError, EXIT } from '../../exit.js';
import type { Filter } from './filter.js';

/** Ids or a filter, and not by mistake all. @throws {CliError} */
export function eitherOr(
  ids: readonly string[],
  { all, queue, owner }: Filter & { readonly all?: true },
): 'ids' | 'all' {
  if (ids.length > 0 && (all === true || queue !== undefined || owner !== undefined))
    throw new CliError('Give ids, or --all with or without a filter, but not both.', EXIT.usage);
  if (ids.length > 0) return 'ids';
  if (all === true) return 'all';
  throw new CliError('Which ones? Give their ids (`ksi dead` lists them), or --all.', EXIT.usage);
}
