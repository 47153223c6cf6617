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
import { findEntry } from './session-queue.js';
import { lastState } from './task-states.js';
import { changePlaces, readPlaces, rootsWithPlaces } from './workspace-records.js';
import { enter, lend, admit, moveLate, without } from './workspace-rules.js';

/**
 * Limits how many tasks write in a workspace root at once (ADR 40). Each root has an entry with the writers and the waiting tasks, changed
 * by compare-and-set. A task keeps its place while its run is in the queue, so the run's lease is also the lease of the place.
 * `sweepPlaces` repairs entries after crashes.
 */

/** How long an admitted task may take to start. After that, the next task is admitted. */
const START_MS = 60_000;
/** A limit on the entry's size, as each change writes the whole entry. Further tasks have to try again later. */
const MAX_WAITING = 500;

/** The number of concurrent writers in a root; 0: unlimited. */
type WritersIn = (root: string) => number;

/** @returns `in`: the task may write. `waits`: park it; it will be woken. `full`: too many tasks wait; try again later. @throws {BrokerError} */
export async function enterWorkspace(
  broker: Broker,
  task: WorkspaceWaiter,
  writersIn: WritersIn,
): Promise<'in' | 'waits' | 'full'> {
  const isIt = ({ task_id: id }: WorkspaceWaiter): boolean => id === task.task_id;
  const after = await change(broker, rootOf(task.workspace), writersIn, {
    self: task.task_id,
    change: (places, most, until) => enter(places, task, most, until),
    finish: (places) => (places.waiting.length > MAX_WAITING ? without(places, (each) => isIt(each)) : places),
  });
  if (after.writers.some(isIt)) return 'in';
  return after.waiting.some(isIt) ? 'waits' : 'full';
}

/** Removes a task and admits waiting ones. Idempotent. @throws {BrokerError} */
export async function leaveWorkspace(
  broker: Broker,
  { task_id: taskId, workspace }: Pick<WorkspaceWaiter, 'task_id' | 'workspace'>,
  writersIn: WritersIn,
): Promise<void> {
  await change(broker, rootOf(workspace), writersIn, {
    change: (places) => without(places, ({ task_id: id }) => id === taskId),
  });
}

/** Lends a task's place to the task that it waits for, or ends that. Idempotent. @throws {BrokerError} */
export async function lendWorkspace(
  broker: Broker,
  { task_id: taskId, workspace }: Pick<WorkspaceWaiter, 'task_id' | 'workspace'>,
  writersIn: WritersIn,
  { awaited, waits }: { readonly awaited: string; readonly waits: boolean },
): Promise<void> {
  await change(broker, rootOf(workspace), writersIn, { change: (places) => lend(places, taskId, awaited, waits) });
}

/**
 * Removes tasks that have lost their run, moves admitted tasks that did not start to the end of the line, and admits waiting tasks.
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
      const admission = await admissionState(broker, writer);
      if (admission !== 'in') (admission === 'late' ? late : out).add(keyOf(writer));
    }
    await change(broker, root, writersIn, {
      change: (now) =>
        moveLate(
          without(now, (task) => out.has(keyOf(task))),
          (writer) => late.has(keyOf(writer)),
        ),
    });
    if ((await readPlaces(broker, root)).revision !== revision) changed++;
  }
  return changed;
}

/** Includes `until`, which changes when an attempt begins, so that a finding about an earlier attempt does not apply to it. */
const keyOf = (task: WorkspaceWaiter & { readonly until?: number }): string => `${task.task_id} ${task.until ?? ''}`;

interface Change {
  /** The task of this change, whose run is known to be in the queue. */
  readonly self?: string;
  readonly change: (places: WorkspacePlaces, most: number, until: number) => WorkspacePlaces;
  /** Applied after waiting tasks were admitted. */
  readonly finish?: (places: WorkspacePlaces) => WorkspacePlaces;
}

async function change(
  broker: Broker,
  root: string,
  writersIn: WritersIn,
  { self, change: apply, finish = (places) => places }: Change,
): Promise<WorkspacePlaces> {
  const most = writersIn(root) || Infinity;
  /** Tasks that no longer wait, such as cancelled ones. */
  const ended = new Set<string>();
  let admitted: readonly WorkspaceWriter[] = [];
  const result = await changePlaces(broker, root, async (places) => {
    const until = broker.clock.now() + START_MS;
    const before = new Set(places.writers.map(({ task_id: id }) => id));
    for (;;) {
      const changed = without(apply(places, most, until), ({ task_id: id }) => ended.has(id));
      const after = finish(admit(changed, most, until));
      admitted = after.writers.filter(({ task_id: id }) => id !== self && !before.has(id));
      const admission = await Promise.all(admitted.map((task) => mayStart(broker, task)));
      if (!admission.includes(false)) return JSON.stringify(after) === JSON.stringify(places) ? undefined : after;
      admitted.filter((_task, n) => admission[n] === false).forEach(({ task_id: id }) => ended.add(id));
    }
  });
  for (const { task_id: taskId, session_id: sessionId } of admitted) await wake(broker, { taskId, sessionId });
  return result;
}

/** Wakes a run. If the broker refuses, the sweeper does it later. */
async function wake(broker: Broker, task: Parameters<typeof wakeParked>[1]): Promise<void> {
  try {
    await wakeParked(broker, task);
  } catch (error) {
    if (!isBrokerError(error)) throw error;
  }
}

/** Whether the task's run is in the queue and the task has no outcome. */
async function mayStart(broker: Broker, task: WorkspaceWaiter): Promise<boolean> {
  return (await hasRun(broker, task)) && !isEnded((await lastState(broker, task.task_id)).status);
}

/**
 * `in`: the task keeps its place. An ended task keeps it until its run is acknowledged, because its processes may be alive.
 * `late`: it did not start in time.
 */
async function admissionState(broker: Broker, writer: WorkspaceWriter): Promise<'in' | 'late' | 'out'> {
  if (!(await hasRun(broker, writer))) return 'out';
  if (writer.until > broker.clock.now()) return 'in';
  const { status } = await lastState(broker, writer.task_id);
  if (status === 'running' || isEnded(status)) return 'in';
  // A task between two attempts enters again when it is due.
  return status === 'retrying' ? 'out' : 'late';
}

const hasRun = async (broker: Broker, { task_id: taskId, session_id: sessionId }: WorkspaceWaiter): Promise<boolean> =>
  (await findEntry(broker, { taskId, sessionId }))?.kind === 'run';
