import type { SpawnCommand } from '../../contracts/tasks/spawn.js';
import { rootOf, type WorkspaceWaiter } from '../../contracts/tasks/workspace.js';
import { isBrokerError } from '../../src/broker/errors.js';
import { enterWorkspace, leaveWorkspace, lendWorkspace } from '../../src/broker/workspace-places.js';
import { readPlaces } from '../../src/broker/workspace-records.js';
import { timestampOf } from '../../src/clock.js';
import { retryWhileUnavailable } from '../../src/broker/until-known.js';
import { boundWorkspace } from '../../src/sessions/transcript/workspace.js';
import type { WorkerContext } from './context.js';
import { defined } from '../../src/defined.js';

type Context = Pick<WorkerContext, 'broker' | 'workspaces' | 'writersIn' | 'log'>;

/** How a task uses a workspace. Empty: the task has a folder of its own, or the workspace has no limit. */
export interface WorkspaceUse {
  /** The right of the task to write there. */
  readonly place?: WorkspacePlace;
  /** The workspace that the task only reads. */
  readonly reads?: string;
}

/** @throws {BrokerError} and the signal's reason. */
export async function workspaceUse(
  command: SpawnCommand,
  context: Context,
  signal: AbortSignal,
): Promise<WorkspaceUse> {
  const { broker, workspaces, writersIn } = context;
  if (workspaces.none) return {};
  let bound: string | undefined;
  try {
    bound = await retryWhileUnavailable(broker, signal, () => boundWorkspace(broker, command.session_id));
  } catch (error) {
    // The attempt reads the binding too, and fails before it writes anything.
    if (!isBrokerError(error, 'unreadable')) throw error;
    return {};
  }
  const named = bound ?? command.workspace;
  if (named === undefined) return {};
  const workspace = await workspaces.outermost(named);
  // A workspace that does not exist has no limit: the attempt will fail.
  if (workspace === undefined) return {};
  if (command.workspace_access === 'read') return { reads: workspace };
  if (writersIn(rootOf(workspace)) === 0) return {};
  const { task_id, session_id, owner, ancestors } = command;
  const since = timestampOf(broker.clock);
  const task = defined({ task_id, session_id, owner, workspace, ancestors, since });
  return { place: new WorkspacePlace(context, task) };
}

export class WorkspacePlace {
  readonly root: string;
  readonly #context: Context;
  readonly #task: WorkspaceWaiter;

  constructor(context: Context, task: WorkspaceWaiter) {
    this.root = rootOf(task.workspace);
    this.#context = context;
    this.#task = task;
  }

  /** See `enterWorkspace`. @throws {BrokerError} and the signal's reason. */
  enter(signal: AbortSignal): ReturnType<typeof enterWorkspace> {
    const { broker, writersIn } = this.#context;
    return retryWhileUnavailable(broker, signal, () => enterWorkspace(broker, this.#task, writersIn));
  }

  /** Whether the task may still write. @throws {BrokerError} */
  async holds(): Promise<boolean> {
    const { places } = await readPlaces(this.#context.broker, this.root);
    return places.writers.some(({ task_id: id }) => id === this.#task.task_id);
  }

  /** Never rejects. If `deadline` aborts first, the sweeper frees the workspace. */
  async leave(deadline: AbortSignal): Promise<void> {
    const { broker, writersIn, log } = this.#context;
    try {
      await retryWhileUnavailable(broker, deadline, () => leaveWorkspace(broker, this.#task, writersIn));
    } catch (error) {
      if (!deadline.aborted && !isBrokerError(error)) throw error;
      log.warn({ err: error }, 'could not free the workspace; the sweeper of an API will');
    }
  }

  /** Lets another task, and tasks that it spawns, write while this task waits for it. @returns ends the loan. @throws the signal's reason. */
  async lendTo(awaited: string, signal: AbortSignal): Promise<() => Promise<void>> {
    const { broker, writersIn } = this.#context;
    const say = (waits: boolean): Promise<void> =>
      retryWhileUnavailable(broker, signal, () => lendWorkspace(broker, this.#task, writersIn, { awaited, waits }));
    await say(true);
    return () => say(false);
  }
}
