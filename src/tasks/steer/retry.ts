import type { SpawnAccepted } from '../../../contracts/tasks/spawn.js';
import { isEnded } from '../../../contracts/tasks/states.js';
import type { Blobs } from '../../broker/blobs.js';
import type { Broker } from '../../broker/connect.js';
import { readEndedCommand } from '../../broker/ended-commands.js';
import type { Acceptor } from '../accept/acceptor.js';
import { ApiError, apiErrorOf } from '../../errors/api-error.js';
import type { DeadLetters } from '../dead-letters.js';
import { onBehalfOf, type Principal } from '../../access/principal.js';
import type { TaskReader } from '../reader.js';
import type { SpawnRateLimiter } from '../../access/rates/limiter.js';
import { ofAgent, requestOf } from './request-of.js';
import { stateOf } from './shown-state.js';

export interface RetrierOptions {
  readonly broker: Broker;
  readonly blobs: Blobs;
  readonly tasks: Pick<TaskReader, 'task'>;
  readonly acceptor: Pick<Acceptor, 'accept'>;
  readonly dead: Pick<DeadLetters, 'has' | 'putBack'>;
  readonly spawnRate: Pick<SpawnRateLimiter, 'take'>;
}

/** Retries ended tasks, each time as a new task. */
export class Retrier {
  readonly #options: RetrierOptions;

  constructor(options: RetrierOptions) {
    this.#options = options;
  }

  /** @throws {ApiError} */
  async retry(id: string, principal: Principal): Promise<SpawnAccepted> {
    const { broker, blobs, tasks, acceptor, dead, spawnRate } = this.#options;
    const task = await tasks.task(id, principal);
    const { owner, session_id: sessionId } = task;
    try {
      const { status } = await stateOf(broker, task);
      if (!isEnded(status)) throw new ApiError('not_ended', `Task ${id} is ${status}`);
      if (await dead.has(id)) return (await dead.putBack(id, principal)).accepted;
      const command = await readEndedCommand(broker, blobs, { taskId: id, sessionId });
      if (command === undefined)
        throw new ApiError('not_retryable', `The command of task ${id} is no longer stored. Send it as a new task`);
      // It counts as a spawn.
      spawnRate.take(principal);
      const origin = { retryOf: id, ofAgent: ofAgent(command) };
      return await acceptor.accept(requestOf(command), onBehalfOf(principal, owner), undefined, origin);
    } catch (error) {
      throw apiErrorOf(error);
    }
  }
}
