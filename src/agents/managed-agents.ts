import type { Logger } from 'pino';
import { STREAM } from '../../contracts/wire/names.js';
import type { Blobs } from '../broker/blobs.js';
import type { Broker } from '../broker/connect.js';
import type { Agents } from './agents.js';
import { AnswerSender } from './answer-sender.js';
import { AgentEnder } from './end-agent.js';
import { MessageDispatcher, type MessageDispatcherOptions } from './message-dispatcher.js';
import { MessageIdIndex } from './message-id-index.js';
import { MessageTaskCreator, type MessageTaskCreatorOptions } from './message-task.js';

export interface ManagedAgentsOptions extends Omit<MessageTaskCreatorOptions, 'messageSender' | 'stored' | 'clock'> {
  readonly broker: Broker;
  readonly blobs: Blobs;
  readonly agents: Agents;
  readonly inboxPrefix: string | undefined;
  readonly isAwaited: MessageDispatcherOptions['isAwaited'];
  readonly log: Logger;
}

/** Runs managed agents: their messages become tasks, and the outcomes of the tasks become answers. */
export class ManagedAgents {
  readonly #router: MessageDispatcher;
  readonly #answers: AnswerSender;

  constructor({ broker, blobs, agents, inboxPrefix, isAwaited, log, ...making }: ManagedAgentsOptions) {
    const { registry, inboxes, messageSender } = agents;
    const tasks = new MessageTaskCreator({
      ...making,
      messageSender,
      stored: new MessageIdIndex(broker, STREAM.messages),
      clock: broker.clock,
    });
    const ending = new AgentEnder(broker, registry);
    this.#router = new MessageDispatcher({ broker, inboxPrefix, registry, inboxes, tasks, ending, isAwaited, log });
    this.#answers = new AnswerSender({ broker, blobs, inboxPrefix, messageSender, tasks, ending, log });
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
