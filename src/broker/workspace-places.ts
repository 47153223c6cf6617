import { isEnded } from '../../contracts/tasks/states.js';
import {
  rootOf,
  type WorkspacePlaces,
  type WorkspaceWaiter,
  type WorkspaceWriter,
} from '../../contracts/tasks/workspace.js';
import type { Broker } from './connect.js';
import { isBrokerError } from './errors.js';
import { wakeParked } from './parked-runs.js';
import { placeOf } from './session-queue.js';
import { lastState } from './task-states.js';
import { changePlaces, readPlaces, rootsWithPlaces } from './workspace-records.js';
import { enter, lend, letIn, toTheEnd, without } from './workspace-rules.js';

/**
 * Places of tasks that write in workspaces: an entry for each root, changed by compare-and-set (ADR 40). A task has its place as long as its
 * run stands in the queue and runs, so the run's lease is the lease of the place. What a crash leaves is repaired by `sweepPlaces`.
 */

/** How long a task that was let in has to start, as a worker must be free for it. Then the next one is let in. */
const START_MS = 60_000;
/** Each change writes the whole entry. A task beyond it is put off. */
const MOST_WAITING = 500;

/** How many tasks may write at once in the workspaces of a root; 0: any number. */
type WritersIn = (root: string) => number;

/** @returns `in`: it may write. `waits`: it is to be parked, and is woken. `full`: too many wait; it is to come again. @throws {BrokerError} */
export async function enterWorkspace(
  broker: Broker,
  task: WorkspaceWaiter,
  writersIn: WritersIn,
): Promise<'in' | 'waits' | 'full'> {
  const isIt = ({ task_id: id }: WorkspaceWaiter): boolean => id === task.task_id;
  const after = await change(broker, rootOf(task.workspace), writersIn, {
    self: task.task_id,
    change: (places, most, until) => enter(places, task, most, until),
    finish: (places) => (places.waiting.length > MOST_WAITING ? without(places, (each) => isIt(each)) : places),
  });
  if (after.writers.some(isIt)) return 'in';
  return after.waiting.some(isIt) ? 'waits' : 'full';
}

/** Takes a task out, and lets in who waits. Safe to repeat. @throws {BrokerError} */
export async function leaveWorkspace(
  broker: Broker,
  { task_id: taskId, workspace }: Pick<WorkspaceWaiter, 'task_id' | 'workspace'>,
  writersIn: WritersIn,
): Promise<void> {
  await change(broker, rootOf(workspace), writersIn, {
    change: (places) => without(places, ({ task_id: id }) => id === taskId),
  });
}

/** Says that a task waits for another one, or no more. Safe to repeat. @throws {BrokerError} */
export async function lendWorkspace(
  broker: Broker,
  { task_id: taskId, workspace }: Pick<WorkspaceWaiter, 'task_id' | 'workspace'>,
  writersIn: WritersIn,
  { awaited, waits }: { readonly awaited: string; readonly waits: boolean },
): Promise<void> {
  await change(broker, rootOf(workspace), writersIn, { change: (places) => lend(places, taskId, awaited, waits) });
}

/**
 * Takes out tasks that have lost their place with their run, puts those to the end of the line that were let in and did not start, and lets
 * in who waits.
 * @returns how many roots it changed. @throws {BrokerError}
 */
export async function sweepPlaces(broker: Broker, writersIn: WritersIn, signal: AbortSignal): Promise<number> {
  let changed = 0;
  for (const root of await rootsWithPlaces(broker)) {
    if (signal.aborted) break;
    const { places, revision } = await readPlaces(broker, root);
    const out = new Set<string>();
    const late = new Set<string>();
    for (const task of places.waiting) if (!(await mayStart(broker, task))) out.add(keyOf(task));
    for (const writer of places.writers) {
      const standing = await standingOf(broker, writer);
      if (standing !== 'in') (standing === 'late' ? late : out).add(keyOf(writer));
    }
    await change(broker, root, writersIn, {
      change: (now) =>
        toTheEnd(
          without(now, (task) => out.has(keyOf(task))),
          (writer) => late.has(keyOf(writer)),
        ),
    });
    if ((await readPlaces(broker, root)).revision !== revision) changed++;
  }
  return changed;
}

/** With `until`, which changes when an attempt begins: what was found out about an earlier one does not count any more. */
const keyOf = (task: WorkspaceWaiter & { readonly until?: number }): string => `${task.task_id} ${task.until ?? ''}`;

interface Change {
  /** The task for which this is: it is known to stand. */
  readonly self?: string;
  readonly change: (places: WorkspacePlaces, most: number, until: number) => WorkspacePlaces;
  /** After others were let in. */
  readonly finish?: (places: WorkspacePlaces) => WorkspacePlaces;
}

async function change(
  broker: Broker,
  root: string,
  writersIn: WritersIn,
  { self, change: apply, finish = (places) => places }: Change,
): Promise<WorkspacePlaces> {
  const most = writersIn(root) || Infinity;
  /** Tasks that wait no more, such as cancelled ones. */
  const gone = new Set<string>();
  let fresh: readonly WorkspaceWriter[] = [];
  const stands = await changePlaces(broker, root, async (places) => {
    const until = broker.clock.now() + START_MS;
    const before = new Set(places.writers.map(({ task_id: id }) => id));
    for (;;) {
      const changed = without(apply(places, most, until), ({ task_id: id }) => gone.has(id));
      const after = finish(letIn(changed, most, until));
      fresh = after.writers.filter(({ task_id: id }) => id !== self && !before.has(id));
      const standing = await Promise.all(fresh.map((task) => mayStart(broker, task)));
      if (!standing.includes(false)) return JSON.stringify(after) === JSON.stringify(places) ? undefined : after;
      fresh.filter((_task, n) => standing[n] === false).forEach(({ task_id: id }) => gone.add(id));
    }
  });
  for (const { task_id: taskId, session_id: sessionId } of fresh) await wake(broker, { taskId, sessionId });
  return stands;
}

/** What is not woken now is woken by the sweeper. */
async function wake(broker: Broker, task: Parameters<typeof wakeParked>[1]): Promise<void> {
  try {
    await wakeParked(broker, task);
  } catch (error) {
    if (!isBrokerError(error)) throw error;
  }
}

/** Whether its run stands in the queue, and its task has no outcome. */
async function mayStart(broker: Broker, task: WorkspaceWaiter): Promise<boolean> {
  return (await hasRun(broker, task)) && !isEnded((await lastState(broker, task.task_id)).status);
}

/** `in`: it has its place still. An ended one has, as long as its run stands: what it started may be alive. `late`: it has not started in its time. */
async function standingOf(broker: Broker, writer: WorkspaceWriter): Promise<'in' | 'late' | 'out'> {
  if (!(await hasRun(broker, writer))) return 'out';
  if (writer.until > broker.clock.now()) return 'in';
  const { status } = await lastState(broker, writer.task_id);
  if (status === 'running' || isEnded(status)) return 'in';
  // Between two attempts it comes by itself, in its time.
  return status === 'retrying' ? 'out' : 'late';
}

const hasRun = async (broker: Broker, { task_id: taskId, session_id: sessionId }: WorkspaceWaiter): Promise<boolean> =>
  (await placeOf(broker, { taskId, sessionId }))?.kind === 'run';
