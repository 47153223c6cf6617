import type { Logger } from 'pino';
import { mayFollow } from '../../contracts/tasks/states.js';
import type { Broker } from '../broker/connect.js';
import { identityOf, lastState, transition } from '../broker/task-states.js';
import type { TaskRow } from '../store/projection.js';
import type { ReadModel } from '../store/read-model.js';
import { releaseUnstarted } from './steer/release-unstarted.js';

/** Per sweep. The rest waits for the next sweep, to limit the load. */
const AT_ONCE = 1_000;

/** Ends tasks that have not started before their deadline, even if no worker is running. */
export class Expirer {
  readonly #broker: Broker;
  readonly #model: Pick<ReadModel, 'overdue'>;
  readonly #log: Logger;

  constructor(broker: Broker, model: Pick<ReadModel, 'overdue'>, log: Logger) {
    this.#broker = broker;
    this.#model = model;
    this.#log = log;
  }

  /** @returns the number of expired tasks. @throws {BrokerError} */
  async sweep(signal: AbortSignal): Promise<number> {
    let expired = 0;
    for (const row of await this.#model.overdue(new Date(this.#broker.clock.now()), AT_ONCE)) {
      if (signal.aborted) break;
      if (!(await this.#expire(row))) continue;
      expired++;
      await releaseUnstarted(this.#broker, row, this.#log);
    }
    return expired;
  }

  /** @returns false if the task has started or ended, or another API was first. */
  async #expire(row: TaskRow): Promise<boolean> {
    const state = await lastState(this.#broker, row.task_id);
    if (row.start_by === undefined || !mayFollow(state.status, 'expired')) return false;
    const queue_timeout_s = (Date.parse(row.start_by) - Date.parse(row.created_at)) / 1_000;
    const data = { ...identityOf(row), queue_timeout_s };
    return (await transition(this.#broker, state, 'expired', data)) !== undefined;
  }
}
