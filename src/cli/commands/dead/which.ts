import { CliError, EXIT } from '../../exit.js';
import type { Filter } from './filter.js';

/** Requires either ids or an explicit --all. @throws {CliError} */
export function eitherOr(
  ids: readonly string[],
  { all, queue, owner }: Filter & { readonly all?: true },
): 'ids' | 'all' {
  if (ids.length > 0 && (all === true || queue !== undefined || owner !== undefined))
    throw new CliError('Use either ids, or --all with optional filters.', EXIT.usage);
  if (ids.length > 0) return 'ids';
  if (all === true) return 'all';
  throw new CliError('No dead letters named. Pass their ids (`ksi dead` lists them), or --all.', EXIT.usage);
}
