import type { WorkspacePlaces, WorkspaceWaiter, WorkspaceWriter } from '../../contracts/tasks/workspace.js';

/**
 * Who may write in a workspace (ADR 40). Pure: the places of one root as they were, and as they become.
 *
 * Tasks of one folder, or of a folder and one inside it, are in each other's way. Whoever waits is let in in order, but for a task that a
 * writer waits for: it goes first and takes that writer's place for the time.
 */

/** Whether one of two workspaces is the other, or lies inside it. */
export const overlap = (a: string, b: string): boolean => a === b || a.startsWith(`${b}/`) || b.startsWith(`${a}/`);

/** Whether a writer waits for this task, or for one that led to it. */
const waitsFor = ({ waits_for: awaited = [] }: WorkspaceWriter, { task_id: id, ancestors = [] }: WorkspaceWaiter) =>
  awaited.some((each) => each === id || ancestors.includes(each));

/** How many writers a task would meet. A writer that waits is not met by the tasks that it waits for, and counts once together with them. */
function met(writers: readonly WorkspaceWriter[], task: WorkspaceWaiter): number {
  const here = writers.filter(({ workspace }) => overlap(workspace, task.workspace));
  return here.filter(
    (writer) => !waitsFor(writer, task) && !here.some((other) => other !== writer && waitsFor(writer, other)),
  ).length;
}

/** Lets in whoever has room, in order. @param most how many may write at once. @param until they keep their places without running. */
export function letIn(places: WorkspacePlaces, most: number, until: number): WorkspacePlaces {
  const writers = [...places.writers];
  const waiting: WorkspaceWaiter[] = [];
  for (const task of places.waiting) {
    const awaited = writers.some((writer) => waitsFor(writer, task));
    const inTurn = awaited || !waiting.some(({ workspace }) => overlap(workspace, task.workspace));
    if (inTurn && met(writers, task) < most) writers.push({ ...task, until });
    else waiting.push(task);
  }
  return { ...places, writers, waiting };
}

/** Puts a task that is about to run where it stands already, or in line. Before `letIn`. */
export function enter(places: WorkspacePlaces, task: WorkspaceWaiter, most: number, until: number): WorkspacePlaces {
  const { writers, waiting } = places;
  const own = writers.find(({ task_id: id }) => id === task.task_id);
  if (own !== undefined) {
    const others = writers.filter((writer) => writer !== own);
    // Its earlier attempt may have lent its place: then it waits until that is free again.
    if (met(others, task) >= most) return { ...places, writers: others, waiting: [task, ...waiting] };
    const { waits_for: _none, ...kept } = own;
    return { ...places, writers: writers.map((writer) => (writer === own ? { ...kept, until } : writer)) };
  }
  if (waiting.some(({ task_id: id }) => id === task.task_id)) return places;
  return { ...places, waiting: [...waiting, task] };
}

/** Takes tasks out, wherever they stand. */
export const without = (
  places: WorkspacePlaces,
  isOut: (task: WorkspaceWriter | WorkspaceWaiter) => boolean,
): WorkspacePlaces => ({
  ...places,
  writers: places.writers.filter((task) => !isOut(task)),
  waiting: places.waiting.filter((task) => !isOut(task)),
});

/** Says that a writer waits for another task, or no more. */
export const lend = (places: WorkspacePlaces, taskId: string, awaited: string, waits: boolean): WorkspacePlaces => ({
  ...places,
  writers: places.writers.map(({ waits_for: before = [], ...writer }) => {
    if (writer.task_id !== taskId) return before.length === 0 ? writer : { ...writer, waits_for: before };
    const others = before.filter((id) => id !== awaited);
    const now = waits ? [...others, awaited] : others;
    return now.length === 0 ? writer : { ...writer, waits_for: now };
  }),
});

/** Takes the places of writers that have not started, and puts them to the end of the line. */
export function toTheEnd(places: WorkspacePlaces, isLate: (writer: WorkspaceWriter) => boolean): WorkspacePlaces {
  const late = places.writers.filter(isLate).map(({ until: _until, waits_for: _none, ...task }) => task);
  return {
    ...places,
    writers: places.writers.filter((writer) => !isLate(writer)),
    waiting: [...places.waiting, ...late],
  };
}
