import { OPERATIONS, type Operation } from '../../contracts/operations.js';
import { markdownTable } from './region.js';

/** All operations, as HTTP and NATS have them. */
export const operationsTable = (): string =>
  markdownTable(
    ['`ksi.api.…`', 'HTTP', 'scope', 'repeated by the SDK'],
    Object.entries(OPERATIONS as Readonly<Record<string, Operation>>).map(
      ([name, { method, path, scope, repeatable }]) => [
        `\`${name}\``,
        `\`${method} ${path}\``,
        scope === undefined ? 'none' : `\`${scope}\``,
        repeatable === true ? 'yes' : repeatable === 'keyed' ? 'yes, by its key' : 'only when refused (429)',
      ],
    ),
  );
