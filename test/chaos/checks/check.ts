import { isEnded, statusOfEvent } from '../../../contracts/tasks/states.js';
import type { History, StoredRow } from '../history.js';

/** A promise of KSI's as a function of what happened: it gives the violations, in words. Pure. */
export interface Check {
  /** What there should be none of. */
  readonly title: string;
  readonly violations: (history: History) => string[];
}

/** The stored events of each task, in their order. */
export function byTask(stored: readonly StoredRow[]): Map<string, StoredRow[]> {
  const tasks = new Map<string, StoredRow[]>();
  for (const row of stored) {
    if (row.taskId === undefined) continue;
    const rows = tasks.get(row.taskId);
    if (rows === undefined) tasks.set(row.taskId, [row]);
    else rows.push(row);
  }
  return tasks;
}

export function isOutcome({ type }: StoredRow): boolean {
  const status = statusOfEvent(type);
  return status !== undefined && isEnded(status);
}

/** Refused before it was accepted: to the client there is no such task. */
export const isNotAccepted = ({ type, reason }: StoredRow): boolean =>
  type === 'SPAWN_CANCELLED' && reason === 'not_accepted';

export const inWords = ({ seq, type, attempt }: StoredRow): string =>
  `${type}${attempt === undefined ? '' : ` of attempt ${attempt}`} (${seq})`;
