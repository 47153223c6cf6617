import { OPERATIONS } from '../../contracts/api/operations.js';
import { repeatableOf, type Operation } from '../../contracts/wire/operation.js';
import { markdownTable } from './region.js';

const REPEATED: Readonly<Record<string, string>> = {
  always: 'yes',
  keyed: 'yes, by its key',
  message_id: 'yes, by its `message_id`',
  undefined: 'only when refused (429)',
};

/** The table of all operations, for HTTP and NATS. */
export const operationsTable = (): string =>
  markdownTable(
    ['`ksi.api.…`', 'HTTP', 'scope', 'repeated by the SDK'],
    Object.entries<Operation>(OPERATIONS).map(([name, operation]) => [
      `\`${name}\``,
      `\`${operation.method} ${operation.path}\``,
      operation.scope === undefined ? 'none' : `\`${operation.scope}\``,
      REPEATED[String(repeatableOf(operation))] ?? '',
    ]),
  );
