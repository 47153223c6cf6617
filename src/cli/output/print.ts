import type { GlobalOptions } from '../options.js';
import { printable } from './printable.js';
import { renderTable } from './table.js';

type Format = Pick<GlobalOptions, 'output'>;

/** How records are shown as a table: its head, and the cells of each. */
export interface TableOf<T> {
  readonly head: readonly string[];
  readonly row: (record: T) => readonly string[];
}

/** One thing to stdout: as `text` says it (with its last end of line), or as JSON on one line. */
export function printOne<T>(value: T, text: (value: T) => string, { output }: Format): void {
  if (output === 'none') return;
  const { stdout } = process;
  if (output !== 'text') stdout.write(`${JSON.stringify(value)}\n`);
  else stdout.write(stdout.isTTY ? printable(text(value)) : text(value));
}

/** Several of a kind to stdout: a line each, a JSON array, or a JSON object a line. */
export const printLines = <T>(records: readonly T[], line: (record: T) => string, format: Format): void =>
  printAll(records, () => records.map((record) => `${line(record)}\n`).join(''), format);

/** The same, as a table that fits the terminal; off one nothing is cut. None: nothing as text, so say why. */
export const printTable = <T>(records: readonly T[], table: TableOf<T>, format: Format): void =>
  printAll(records, () => (records.length === 0 ? '' : `${tableOf(records, table)}\n`), format);

export const tableOf = <T>(records: readonly T[], { head, row }: TableOf<T>): string =>
  renderTable(
    head,
    records.map(row),
    process.stdout.isTTY && process.stdout.columns > 0 ? process.stdout.columns : Infinity,
  );

function printAll(records: readonly unknown[], text: () => string, { output }: Format): void {
  if (output === 'json') process.stdout.write(`${JSON.stringify(records)}\n`);
  if (output === 'jsonl') process.stdout.write(records.map((record) => `${JSON.stringify(record)}\n`).join(''));
  if (output === 'text') process.stdout.write(text());
}
