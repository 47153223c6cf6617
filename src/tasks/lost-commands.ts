import type { Logger } from 'pino';
import { STREAM } from '../../contracts/wire/names.js';
import { isEnded, TASK_STATUSES } from '../../contracts/tasks/states.js';
import type { Broker } from '../broker/connect.js';
import { placeOf } from '../broker/session-queue.js';
import { dataIn, identityOf, lastState, transition } from '../broker/task-states.js';
import type { TopologyKeeper } from '../broker/topology-keeper.js';
import type { TaskRow } from '../store/projection.js';
import { firstIdAt, type ReadModel } from '../store/read-model.js';
import { mayRun } from './steer/control.js';

export interface LostCommandsOptions {
  readonly broker: Broker;
  readonly model: Pick<ReadModel, 'list'>;
  readonly topology: Pick<TopologyKeeper, 'created'>;
  /** Whether the read model shows all that is stored. */
  readonly isReady: () => boolean;
  readonly log: Logger;
}

const PAGE = 500;
/**
 * How old the stream must be. An API stores a task's first event before its command, so the command of a task that is older than the stream may
 * still be on its way. The APIs' requests wait 1.5 s for the broker.
 */
export const SETTLED_AFTER_MS = 5_000;
const OPEN = TASK_STATUSES.filter((status) => !isEnded(status));

/**
 * Cancels the tasks whose command went with a lost KSI_COMMANDS: those that are older than the stream that stands in its place, are not in
 * it, and that no worker runs. Nothing else would ever end them.
 */
export class LostCommands {
  readonly #options: LostCommandsOptions;
  /** The stream, by the time when it was made, of which no older task is open. */
  #settled: string | undefined;

  constructor(options: LostCommandsOptions) {
    this.#options = options;
  }

  /** @returns how many it cancelled. @throws {BrokerError} */
  async sweep(signal: AbortSignal): Promise<number> {
    const { broker, model, topology, isReady } = this.#options;
    const made = topology.created(STREAM.commands);
    if (made === undefined || made === this.#settled || !isReady()) return 0;
    if (broker.clock.now() - Date.parse(made) < SETTLED_AFTER_MS) return 0;
    let [older, cancelled] = [0, 0];
    for (const status of OPEN) {
      let before: string | undefined = firstIdAt(made);
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
    if (older === 0) this.#settled = made;
    return cancelled;
  }

  /** @returns false when its command is there, a worker runs it, or it has ended. */
  async #cancel(row: TaskRow): Promise<boolean> {
    const { broker, log } = this.#options;
    const { task_id: taskId, session_id: sessionId } = row;
    // Before its place is looked for: whoever stores the command again expects the state as it is now.
    const state = await lastState(broker, taskId);
    if (isEnded(state.status) || (await placeOf(broker, { taskId, sessionId })) !== undefined) return false;
    const { process } = dataIn(state, 'running');
    if (state.status === 'running' && (await mayRun(broker, { process, taskId }))) return false;
    const data = { ...identityOf(row), reason: 'command_lost' as const };
    const cancelled = (await transition(broker, state, 'cancelled', data)) !== undefined;
    if (cancelled) log.warn({ task_id: taskId }, 'the task is cancelled, as its command was lost with KSI_COMMANDS');
    return cancelled;
  }
}
