import type { History, Post } from '../history.js';
import { keyIn } from '../work.js';
import { byTask, inWords, isNotAccepted, isOutcome, type Check } from './check.js';

/** The tasks that a client was told were accepted. */
const acceptedTasks = ({ posts }: History): Map<string, Post> =>
  new Map(posts.flatMap((post) => (post.taskId === undefined ? [] : [[post.taskId, post]])));

const sessionsLeft = ({ commandsLeft }: History): Set<string | undefined> =>
  new Set(commandsLeft.map((subject) => subject.split('.').at(-1)));

export const lost: Check = {
  title: 'accepted tasks lost',
  violations: (history) => {
    const tasks = byTask(history.stored);
    const left = sessionsLeft(history);
    return [...acceptedTasks(history)].flatMap(([taskId, { key, sessionId }]) => {
      const rows = tasks.get(taskId) ?? [];
      if (rows.some(isNotAccepted)) return [`${taskId} (${key}) was accepted, and then refused`];
      if (rows.some(isOutcome) || left.has(sessionId)) return [];
      return [`${taskId} (${key}) has no outcome, and nothing of it is queued`];
    });
  },
};

export const unfinished: Check = {
  title: 'tasks not finished at the end',
  violations: (history) => {
    const left = sessionsLeft(history);
    const tasks = [...byTask(history.stored)].flatMap(([taskId, rows]) => {
      const begun = rows.some(({ type }) => type === 'SPAWN_START');
      const queued = rows.some(({ sessionId }) => left.has(sessionId));
      return rows.some(isOutcome) || !(begun || queued) ? [] : [`${taskId}: ${rows.map(inWords).join(', ')}`];
    });
    return [...tasks, ...history.commandsLeft.map((subject) => `${subject} is still queued`)];
  },
};

export const twoOutcomes: Check = {
  title: 'tasks with two outcomes, or events after their outcome',
  violations: ({ stored }) =>
    [...byTask(stored)].flatMap(([taskId, rows]) => {
      const end = rows.findIndex(isOutcome);
      const after = end === -1 ? [] : rows.slice(end + 1);
      return after.length === 0 ? [] : [`${taskId}: after its outcome came ${after.map(inWords).join(', ')}`];
    }),
};

export const doubled: Check = {
  title: 'requests that became two tasks',
  violations: ({ posts, stored }) => {
    const idempotent = new Set(posts.filter((post) => post.idempotent).map(({ key }) => key));
    const sent = new Map<string, number>();
    for (const { key, result } of posts)
      if (result !== 'unreachable') sent.set(key, idempotent.has(key) ? 1 : (sent.get(key) ?? 0) + 1);
    const made = new Map<string, string[]>();
    for (const [taskId, rows] of byTask(stored)) {
      const key = keyIn(rows.find(({ type }) => type === 'SPAWN_QUEUED')?.text);
      // Queued only, and never stored as a command: an API died between the two, or refused it.
      const real = rows.some(({ type }) => type === 'SPAWN_START') || !rows.every((row) => row.type === 'SPAWN_QUEUED');
      if (key !== undefined && real && !rows.some(isNotAccepted)) made.set(key, [...(made.get(key) ?? []), taskId]);
    }
    const tooMany = [...made].filter(([key, tasks]) => tasks.length > (sent.get(key) ?? 0));
    return [
      ...tooMany.map(([key, tasks]) => `${key} was sent ${sent.get(key) ?? 0} times, and became ${tasks.join(', ')}`),
      ...answersThatDiffer(posts),
    ];
  },
};

function answersThatDiffer(posts: readonly Post[]): string[] {
  const answers = new Map<string, Set<string>>();
  for (const { key, idempotent, taskId } of posts)
    if (idempotent && taskId !== undefined) answers.set(key, (answers.get(key) ?? new Set()).add(taskId));
  return [...answers].flatMap(([key, ids]) =>
    ids.size > 1 ? [`${key}, one idempotency key, was answered with ${[...ids].join(' and ')}`] : [],
  );
}

export const wrongAnswers: Check = {
  title: "tasks that completed with another's answer",
  violations: (history) => {
    const accepted = acceptedTasks(history);
    return history.stored.flatMap(({ type, taskId = '', text }) => {
      const key = accepted.get(taskId)?.key;
      if (type !== 'SPAWN_COMPLETE' || key === undefined || keyIn(text) === key) return [];
      return [`${taskId} was asked ${key}, and answers ${text?.slice(0, 80) ?? 'nothing'}`];
    });
  },
};

export const cancelledAnyway: Check = {
  title: 'tasks said to be cancelled that have another outcome',
  violations: ({ cancels, stored }) => {
    const tasks = byTask(stored);
    return cancels.flatMap(({ taskId, status }) => {
      const outcome = tasks.get(taskId)?.find(isOutcome);
      if (status !== 200 || outcome?.type === 'SPAWN_CANCELLED') return [];
      return [`${taskId}: ${outcome === undefined ? 'none' : inWords(outcome)}`];
    });
  },
};

export const failedAnyway: Check = {
  title: 'tasks that failed for no fault of their own',
  violations: (history) => {
    const accepted = acceptedTasks(history);
    return history.stored.flatMap((row) => {
      const post = accepted.get(row.taskId ?? '');
      // One whose workers were lost five times is given up, as is promised.
      const meant = post === undefined || post.fails || row.givenUp === 'workers_lost';
      return row.type !== 'SPAWN_ERROR' || meant ? [] : [`${row.taskId ?? ''} (${post.key}): ${row.reason ?? ''}`];
    });
  },
};
