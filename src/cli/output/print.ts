import type { GlobalOptions } from '../options.js';
import { jsonLine, shownOn } from './printable.js';
import { renderTable } from './table.js';

type Format = Pick<GlobalOptions, 'output'>;

/** A table of records: the head, and the cells of a record. */
export interface TableOf<T> {
  readonly head: readonly string[];
  readonly row: (record: T) => readonly string[];
}

/** Prints a value: as `text`, which must end with a line break, or as one line of JSON. */
export function printOne<T>(value: T, text: (value: T) => string, { output }: Format): void {
  if (output === 'none') return;
  const { stdout } = process;
  if (output !== 'text') stdout.write(jsonLine(value));
  else stdout.write(shownOn(stdout, text(value)));
}

/** Prints records: one line each, as a JSON array, or as JSON lines. */
export const printLines = <T>(records: readonly T[], line: (record: T) => string, format: Format): void =>
  printAll(records, () => records.map((record) => `${line(record)}\n`).join(''), format);

/** Prints records as a table that fits the terminal, or as JSON. Without a terminal nothing is cut. Without records it prints no text. */
export const printTable = <T>(records: readonly T[], table: TableOf<T>, format: Format): void =>
  printAll(records, () => (records.length === 0 ? '' : `${tableOf(records, table)}\n`), format);

export const tableOf = <T>(records: readonly T[], { head, row }: TableOf<T>): string =>
  renderTable(
    head,
    records.map(row),
    process.stdout.isTTY && process.stdout.columns > 0 ? process.stdout.columns : Infinity,
  );

function printAll(records: readonly unknown[], text: () => string, { output }: Format): void {
  if (output === 'json') process.stdout.write(jsonLine(records));
  if (output === 'jsonl') process.stdout.write(records.map(jsonLine).join(''));
  if (output === 'text') process.stdout.write(shownOn(process.stdout, text()));
}
