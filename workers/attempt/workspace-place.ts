import type { SpawnCommand } from '../../contracts/tasks/spawn.js';
import { rootOf, type WorkspaceWaiter } from '../../contracts/tasks/workspace.js';
import { isBrokerError } from '../../src/broker/errors.js';
import { enterWorkspace, leaveWorkspace, lendWorkspace } from '../../src/broker/workspace-places.js';
import { readPlaces } from '../../src/broker/workspace-records.js';
import { timestampOf } from '../../src/clock.js';
import { whileUnavailable } from '../../src/broker/certain.js';
import { boundWorkspace } from '../../src/sessions/transcript/workspace.js';
import type { WorkerContext } from './context.js';

type Context = Pick<WorkerContext, 'broker' | 'workspaces' | 'writersIn' | 'log'>;

/**
 * The place of a task that writes in a workspace.
 * @returns undefined: it needs none, as it works in a folder of its own, only reads, or any number may write.
 */
export async function placeOf(
  command: SpawnCommand,
  context: Context,
  signal: AbortSignal,
): Promise<WorkspacePlace | undefined> {
  const { broker, workspaces, writersIn } = context;
  if (command.workspace_access === 'read' || workspaces.none) return undefined;
  let bound: string | undefined;
  try {
    bound = await whileUnavailable(broker, signal, () => boundWorkspace(broker, command.session_id));
  } catch (error) {
    // The attempt reads it too, and fails the task before anything is written.
    if (!isBrokerError(error, 'unreadable')) throw error;
    return undefined;
  }
  const named = bound ?? command.workspace;
  if (named === undefined) return undefined;
  const workspace = await workspaces.outermost(named);
  // A workspace that does not exist needs no place: the attempt fails.
  if (workspace === undefined || writersIn(rootOf(workspace)) === 0) return undefined;
  const { task_id, session_id, owner, ancestors } = command;
  const since = timestampOf(broker.clock);
  return new WorkspacePlace(context, {
    task_id,
    session_id,
    owner,
    workspace,
    ...(ancestors === undefined ? {} : { ancestors }),
    since,
  });
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

  /** As `enterWorkspace`. @throws {BrokerError} and the signal's reason. */
  enter(signal: AbortSignal): ReturnType<typeof enterWorkspace> {
    const { broker, writersIn } = this.#context;
    return whileUnavailable(broker, signal, () => enterWorkspace(broker, this.#task, writersIn));
  }

  /** Whether the task may still write. @throws {BrokerError} */
  async holds(): Promise<boolean> {
    const { places } = await readPlaces(this.#context.broker, this.root);
    return places.writers.some(({ task_id: id }) => id === this.#task.task_id);
  }

  /** Never rejects: what is not done when `patience` aborts is the sweeper's. */
  async leave(patience: AbortSignal): Promise<void> {
    const { broker, writersIn, log } = this.#context;
    try {
      await whileUnavailable(broker, patience, () => leaveWorkspace(broker, this.#task, writersIn));
    } catch (error) {
      if (!patience.aborted && !isBrokerError(error)) throw error;
      log.warn({ err: error }, 'the workspace is not free yet; an API sees to that');
    }
  }

  /** Lends the place to a task, and those it leads to, while this one waits for it. @returns what ends that. @throws the signal's reason. */
  async lendTo(awaited: string, signal: AbortSignal): Promise<() => Promise<void>> {
    const { broker, writersIn } = this.#context;
    const say = (waits: boolean): Promise<void> =>
      whileUnavailable(broker, signal, () => lendWorkspace(broker, this.#task, writersIn, { awaited, waits }));
    await say(true);
    return () => say(false);
  }
}
