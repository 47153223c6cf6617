import { OPERATIONS, type Operation } from '../../contracts/api/operations.js';
import { markdownTable } from './region.js';

const REPEATED: Readonly<Record<string, string>> = {
  true: 'yes',
  keyed: 'yes, by its key',
  message_id: 'yes, by its `message_id`',
  undefined: 'only when refused (429)',
};

/** All operations, as HTTP and NATS have them. */
export const operationsTable = (): string =>
  markdownTable(
    ['`ksi.api.…`', 'HTTP', 'scope', 'repeated by the SDK'],
    Object.entries(OPERATIONS as Readonly<Record<string, Operation>>).map(
      ([name, { method, path, scope, repeatable }]) => [
        `\`${name}\``,
        `\`${method} ${path}\``,
        scope === undefined ? 'none' : `\`${scope}\``,
        REPEATED[String(repeatable)] ?? '',
      ],
    ),
  );
