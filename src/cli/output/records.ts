import type { OutputFormat } from '../options.js';

/** Several of a kind to stdout: as lines of text, a JSON array, or a JSON object a line. */
export function writeRecords<T>(records: readonly T[], output: OutputFormat, line: (record: T) => string): void {
  if (output === 'json') process.stdout.write(`${JSON.stringify(records)}\n`);
  else
    for (const record of records)
      process.stdout.write(`${output === 'text' ? line(record) : JSON.stringify(record)}\n`);
}
