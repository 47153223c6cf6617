import type { History, StoredRow } from '../history.js';
import { byTask, inWords, isOutcome, type Check } from './check.js';

const endsAttempt = (row: StoredRow): boolean => row.type === 'SPAWN_RETRY' || isOutcome(row);

export const overlaps: Check = {
  title: 'two runs of one session at once',
  violations: ({ stored }) => {
    const running = new Map<string, StoredRow>();
    const violations: string[] = [];
    for (const row of stored) {
      if (row.sessionId === undefined) continue;
      const other = running.get(row.sessionId);
      if (row.type === 'SPAWN_START') {
        if (other !== undefined)
          violations.push(
            `${row.sessionId}: ${inWords(row)} of ${row.taskId ?? ''} while ${other.taskId ?? ''} runs since ${other.seq}`,
          );
        running.set(row.sessionId, row);
      } else if (endsAttempt(row) && other?.taskId === row.taskId) running.delete(row.sessionId);
    }
    return violations;
  },
};

export const disorder: Check = {
  title: 'tasks of one session out of the order asked for',
  violations: ({ posts, stored }) => {
    const starts = new Map<string, number>();
    for (const { type, taskId, seq } of stored)
      if (type === 'SPAWN_START' && taskId !== undefined && !starts.has(taskId)) starts.set(taskId, seq);
    const violations: string[] = [];
    const latest = new Map<string, { key: string; seq: number }>();
    for (const { key, session, taskId } of firstAnswers(posts)) {
      const seq = taskId === undefined ? undefined : starts.get(taskId);
      if (session === undefined || seq === undefined) continue;
      const before = latest.get(session);
      if (before !== undefined && before.seq > seq)
        violations.push(`${session}: ${key} (${seq}) was asked for after ${before.key} (${before.seq})`);
      latest.set(session, { key, seq });
    }
    return violations;
  },
};

/** The answer that a request got first; later ones repeat it. */
function firstAnswers(posts: History['posts']): History['posts'] {
  const seen = new Set<string>();
  return posts.filter(({ key, taskId }) => taskId !== undefined && !seen.has(key) && seen.add(key));
}

/** One who tells that workers were lost again and again speaks of the lost attempt, and is no worker of it. */
const speaksOfAttempt = ({ type, givenUp }: StoredRow): boolean =>
  (type === 'SPAWN_MESSAGE' || type === 'SPAWN_COMPLETE' || type === 'SPAWN_ERROR') && givenUp !== 'workers_lost';

export const staleWrites: Check = {
  title: 'writes accepted from a stale attempt',
  violations: ({ stored }) =>
    [...byTask(stored)].flatMap(([taskId, rows]) => {
      let attempt = 0;
      let running = false;
      const violations: string[] = [];
      for (const row of rows) {
        if (row.type === 'SPAWN_START') {
          if ((row.attempt ?? 0) !== attempt + 1)
            violations.push(`${taskId}: ${inWords(row)} follows attempt ${attempt}`);
          attempt = row.attempt ?? 0;
          running = true;
        } else if (speaksOfAttempt(row) && (row.attempt !== attempt || !running))
          violations.push(`${taskId}: ${inWords(row)} when attempt ${attempt} ${running ? 'ran' : 'had ended'}`);
        if (endsAttempt(row)) running = false;
      }
      return violations;
    }),
};

export const gapsInAttempts: Check = {
  title: "gaps, repeats or disorder in an attempt's count of its events",
  violations: ({ stored }) =>
    [...byTask(stored)].flatMap(([taskId, rows]) => {
      let last = 0;
      const violations: string[] = [];
      for (const row of rows) {
        if (row.n === undefined) continue;
        const expected = row.type === 'SPAWN_START' ? 1 : last + 1;
        if (row.n !== expected) violations.push(`${taskId}: ${inWords(row)} is number ${row.n}, not ${expected}`);
        last = row.n;
      }
      return violations;
    }),
};
