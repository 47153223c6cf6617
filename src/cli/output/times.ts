import type { GlobalOptions } from '../options.js';
import { systemClock } from '../../clock.js';

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Formats an ISO 8601 time. */
export type ShowTime = (iso: string) => string;

/** Formats times relative to now, or with `--utc` as they are. @param now in ms. */
export const timesFor =
  ({ utc }: Pick<GlobalOptions, 'utc'>, now = systemClock.now()): ShowTime =>
  (iso) =>
    utc === true ? absolute(iso) : relative(iso, now);

/** `2026-01-31 09:30:00Z`. */
const absolute = (iso: string): string => `${new Date(iso).toISOString().slice(0, 19).replace('T', ' ')}Z`;

function relative(iso: string, now: number): string {
  const seconds = Math.round((now - Date.parse(iso)) / 1_000);
  // Clocks differ slightly, so a time up to 2 s ahead counts as now.
  return seconds > -2 ? `${coarse(Math.max(0, seconds))} ago` : `in ${coarse(-seconds)}`;
}

function coarse(seconds: number): string {
  if (seconds < MINUTE) return `${seconds}s`;
  if (seconds < HOUR) return `${Math.floor(seconds / MINUTE)}m`;
  return seconds < DAY ? `${Math.floor(seconds / HOUR)}h` : `${Math.floor(seconds / DAY)}d`;
}

/** Formats seconds in the two largest units: `45s`, `3m5s`, `2h10m`, `4d3h`. */
export function duration(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < MINUTE) return `${whole}s`;
  if (whole < HOUR) return `${Math.floor(whole / MINUTE)}m${whole % MINUTE}s`;
  if (whole < DAY) return `${Math.floor(whole / HOUR)}h${Math.floor((whole % HOUR) / MINUTE)}m`;
  return `${Math.floor(whole / DAY)}d${Math.floor((whole % DAY) / HOUR)}h`;
}
