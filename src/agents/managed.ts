import type { Logger } from 'pino';
import { STREAM } from '../../contracts/wire/names.js';
import type { Blobs } from '../broker/blobs.js';
import type { Broker } from '../broker/connect.js';
import type { Agents } from './agents.js';
import { Answers } from './answers.js';
import { Ending } from './ending.js';
import { Router, type RouterOptions } from './router.js';
import { StoredIds } from './stored-ids.js';
import { TaskMaker, type TaskMakerOptions } from './task-maker.js';

export interface ManagedAgentsOptions extends Omit<TaskMakerOptions, 'mailer' | 'stored' | 'clock'> {
  readonly broker: Broker;
  readonly blobs: Blobs;
  readonly agents: Agents;
  readonly inboxPrefix: string | undefined;
  readonly isAwaited: RouterOptions['isAwaited'];
  readonly log: Logger;
}

/** Runs managed agents: their messages become tasks, and the outcomes of the tasks become answers. */
export class ManagedAgents {
  readonly #router: Router;
  readonly #answers: Answers;

  constructor({ broker, blobs, agents, inboxPrefix, isAwaited, log, ...making }: ManagedAgentsOptions) {
    const { registry, inboxes, mailer } = agents;
    const tasks = new TaskMaker({
      ...making,
      mailer,
      stored: new StoredIds(broker, STREAM.messages),
      clock: broker.clock,
    });
    const ending = new Ending(broker, registry);
    this.#router = new Router({ broker, inboxPrefix, registry, inboxes, tasks, ending, isAwaited, log });
    this.#answers = new Answers({ broker, blobs, inboxPrefix, mailer, tasks, ending, log });
  }

  start(): void {
    this.#router.start();
    this.#answers.start();
  }

  /** Resolves when all work has ended. Idempotent. */
  async stop(): Promise<void> {
    await Promise.all([this.#router.stop(), this.#answers.stop()]);
  }
}
