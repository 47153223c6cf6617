import type { WorkspacePlaces, WorkspaceWaiter, WorkspaceWriter } from '../../contracts/tasks/workspace.js';

/**
 * The rules of writing in workspaces (ADR 40), as pure functions on the places of one root.
 *
 * Tasks conflict if their folders are the same or one contains the other. Waiting tasks are admitted in order, except that a task for which
 * a writer waits goes first and borrows that writer's place.
 */

/** Whether one of two workspaces is the other, or lies inside it. */
export const overlap = (a: string, b: string): boolean => a === b || a.startsWith(`${b}/`) || b.startsWith(`${a}/`);

/** Whether a writer waits for this task or one of its ancestors. */
const waitsFor = ({ waits_for: awaited = [] }: WorkspaceWriter, { task_id: id, ancestors = [] }: WorkspaceWaiter) =>
  awaited.some((each) => each === id || ancestors.includes(each));

/** The number of writers that conflict with a task. A writer does not conflict with tasks that it waits for, and counts once together with them. */
function conflicts(writers: readonly WorkspaceWriter[], task: WorkspaceWaiter): number {
  const here = writers.filter(({ workspace }) => overlap(workspace, task.workspace));
  return here.filter(
    (writer) => !waitsFor(writer, task) && !here.some((other) => other !== writer && waitsFor(writer, other)),
  ).length;
}

/** Admits waiting tasks in order. @param most the number of concurrent writers. @param until when admitted tasks must have started. */
export function admit(places: WorkspacePlaces, most: number, until: number): WorkspacePlaces {
  const writers = [...places.writers];
  const waiting: WorkspaceWaiter[] = [];
  for (const task of places.waiting) {
    const awaited = writers.some((writer) => waitsFor(writer, task));
    const inTurn = awaited || !waiting.some(({ workspace }) => overlap(workspace, task.workspace));
    if (inTurn && conflicts(writers, task) < most) writers.push({ ...task, until });
    else waiting.push(task);
  }
  return { ...places, writers, waiting };
}

/** Adds a task that is about to run to the line, unless it is already a writer or waiting. Call `admit` next. */
export function enter(places: WorkspacePlaces, task: WorkspaceWaiter, most: number, until: number): WorkspacePlaces {
  const { writers, waiting } = places;
  const own = writers.find(({ task_id: id }) => id === task.task_id);
  if (own !== undefined) {
    const others = writers.filter((writer) => writer !== own);
    // Its earlier attempt may have lent its place. Then it waits until the place is free again.
    if (conflicts(others, task) >= most) return { ...places, writers: others, waiting: [task, ...waiting] };
    const { waits_for: _none, ...kept } = own;
    return { ...places, writers: writers.map((writer) => (writer === own ? { ...kept, until } : writer)) };
  }
  if (waiting.some(({ task_id: id }) => id === task.task_id)) return places;
  return { ...places, waiting: [...waiting, task] };
}

/** Removes tasks from the writers and the line. */
export const without = (
  places: WorkspacePlaces,
  isOut: (task: WorkspaceWriter | WorkspaceWaiter) => boolean,
): WorkspacePlaces => ({
  ...places,
  writers: places.writers.filter((task) => !isOut(task)),
  waiting: places.waiting.filter((task) => !isOut(task)),
});

/** Records that a writer waits for another task, or no longer does. */
export const lend = (places: WorkspacePlaces, taskId: string, awaited: string, waits: boolean): WorkspacePlaces => ({
  ...places,
  writers: places.writers.map(({ waits_for: before = [], ...writer }) => {
    if (writer.task_id !== taskId) return before.length === 0 ? writer : { ...writer, waits_for: before };
    const others = before.filter((id) => id !== awaited);
    const now = waits ? [...others, awaited] : others;
    return now.length === 0 ? writer : { ...writer, waits_for: now };
  }),
});

/** Moves writers that have not started to the end of the line. */
export function moveLate(places: WorkspacePlaces, isLate: (writer: WorkspaceWriter) => boolean): WorkspacePlaces {
  const late = places.writers.filter(isLate).map(({ until: _until, waits_for: _none, ...task }) => task);
  return {
    ...places,
    writers: places.writers.filter((writer) => !isLate(writer)),
    waiting: [...places.waiting, ...late],
  };
}
