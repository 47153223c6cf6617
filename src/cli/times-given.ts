import { InvalidArgumentError } from 'commander';
import { systemClock } from '../clock.js';

const UNITS = { s: 1, m: 60, h: 3_600, d: 86_400 } as const;

/** The parser of an option that is a length of time: `90s`, `15m`, `6h`, `30d`. @returns seconds */
export function lengthOfTime(text: string): number {
  const [, count, unit] = /^([1-9]\d{0,8})([smhd])$/.exec(text) ?? [];
  if (count === undefined || unit === undefined)
    throw new InvalidArgumentError('It must be a number with a unit: 90s, 15m, 6h or 30d.');
  return Number(count) * UNITS[unit as keyof typeof UNITS];
}

/** The parser of an option that is a moment: `30d` (ago) or a date. @returns ISO 8601 */
export function moment(text: string): string {
  const date = /^\d+[smhd]$/.test(text) ? new Date(systemClock.now() - lengthOfTime(text) * 1_000) : new Date(text);
  if (Number.isNaN(date.getTime()))
    throw new InvalidArgumentError(
      'It must be a length of time ago (30d) or a date (2026-01-31, 2026-01-31T12:00:00Z).',
    );
  return date.toISOString();
}
