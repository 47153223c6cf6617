import type { ShowTime } from './times.js';

/** The names of time fields. */
const TIME = /(?:_at|_by|^timestamp)$/;

/** Formats the fields of a record, one per line. */
export function fieldLines(record: Readonly<Record<string, unknown>>, when: ShowTime): string {
  const facts = Object.entries(record).filter(([, value]) => value !== undefined);
  const width = Math.max(...facts.map(([name]) => name.length));
  const formatValue = (name: string, value: unknown): string =>
    typeof value === 'string' ? (TIME.test(name) ? when(value) : value) : JSON.stringify(value);
  return facts.map(([name, value]) => `${name.padEnd(width)}  ${formatValue(name, value)}\n`).join('');
}
