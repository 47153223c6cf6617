import type { Logger } from 'pino';
import { STREAM } from '../../contracts/wire/names.js';
import { isEnded, TASK_STATUSES } from '../../contracts/tasks/states.js';
import type { Broker } from '../broker/connect.js';
import { findEntry } from '../broker/session-queue.js';
import { dataIn, identityOf, lastState, transition } from '../broker/task-states.js';
import type { TopologyManager } from '../broker/topology-manager.js';
import type { TaskRow } from '../store/projection.js';
import { firstIdAt, type ReadModel } from '../store/read-model.js';
import { mayRun } from './steer/worker-request.js';

export interface LostCommandsOptions {
  readonly broker: Broker;
  readonly model: Pick<ReadModel, 'list'>;
  readonly topology: Pick<TopologyManager, 'created'>;
  /** Whether the read model has caught up. */
  readonly isReady: () => boolean;
  readonly log: Logger;
}

const PAGE = 500;
/**
 * How old the stream must be. An API stores a task's first event before its command, so the command of a task that is older than the
 * stream may still arrive. The APIs' requests time out after 1.5 s.
 */
export const SETTLED_AFTER_MS = 5_000;
const OPEN = TASK_STATUSES.filter((status) => !isEnded(status));

/**
 * Cancels the tasks whose commands were lost with KSI_COMMANDS: tasks that are older than the re-created stream, have no entry in it and
 * run on no worker. Nothing else would ever end them.
 */
export class LostCommands {
  readonly #options: LostCommandsOptions;
  /** The creation time of the stream for which no older task is open any more. */
  #settled: string | undefined;

  constructor(options: LostCommandsOptions) {
    this.#options = options;
  }

  /** @returns the number of cancelled tasks. @throws {BrokerError} */
  async sweep(signal: AbortSignal): Promise<number> {
    const { broker, model, topology, isReady } = this.#options;
    const created = topology.created(STREAM.commands);
    if (created === undefined || created === this.#settled || !isReady()) return 0;
    if (broker.clock.now() - Date.parse(created) < SETTLED_AFTER_MS) return 0;
    let [older, cancelled] = [0, 0];
    for (const status of OPEN) {
      let before: string | undefined = firstIdAt(created);
      while (before !== undefined) {
        const page = await model.list({ owner: undefined, status: [status] }, PAGE, before);
        for (const row of page.rows) {
          if (signal.aborted) return cancelled;
          older++;
          if (await this.#cancel(row)) cancelled++;
        }
        before = page.next;
      }
    }
    if (older === 0) this.#settled = created;
    return cancelled;
  }

  /** @returns false if the command exists, a worker runs the task, or it has ended. */
  async #cancel(row: TaskRow): Promise<boolean> {
    const { broker, log } = this.#options;
    const { task_id: taskId, session_id: sessionId } = row;
    // Read the state before the entry: if an API stores the command again in between, the state changes and the transition fails.
    const state = await lastState(broker, taskId);
    if (isEnded(state.status) || (await findEntry(broker, { taskId, sessionId })) !== undefined) return false;
    const { process } = dataIn(state, 'running');
    if (state.status === 'running' && (await mayRun(broker, { process, taskId }))) return false;
    const data = { ...identityOf(row), reason: 'command_lost' as const };
    const cancelled = (await transition(broker, state, 'cancelled', data)) !== undefined;
    if (cancelled) log.warn({ task_id: taskId }, 'cancelled a task whose command was lost with KSI_COMMANDS');
    return cancelled;
  }
}
