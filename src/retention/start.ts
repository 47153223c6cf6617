import type { Logger } from 'pino';
import type { Config } from '../../contracts/config/config.js';
import type { Access } from '../access/start.js';
import type { AgentsService } from '../agents/start.js';
import { TaskMessageDeletion } from '../agents/delete-task-messages.js';
import type { Blobs } from '../broker/blobs.js';
import type { Broker } from '../broker/connect.js';
import type { Conversations } from '../conversations/conversations.js';
import { serviceOf } from '../process/lifecycle.js';
import type { SessionsService } from '../sessions/start.js';
import type { Store } from '../store/start.js';
import type { Tasks } from '../tasks/start.js';
import { RetentionCandidates } from './candidates.js';
import { Deleter } from './deletion/deleter.js';
import { SessionDeletion } from './deletion/session-deletion.js';
import { TaskDeletion } from './deletion/task-deletion.js';
import { deleteUnaccepted } from './delete-unaccepted.js';
import { RetentionRecords } from './records.js';
import { Retention } from './retention.js';

export interface RetentionServiceOptions {
  readonly broker: Broker;
  readonly blobs: Blobs;
  readonly store: Store;
  readonly access: Access;
  readonly sessions: SessionsService;
  readonly tasks: Tasks;
  readonly agents: AgentsService;
  readonly conversations: Conversations;
  readonly config: Config;
  readonly log: Logger;
}

export type RetentionService = Awaited<ReturnType<typeof startRetention>>;

/** Starts the retention domain: deletion on request, by age and by size. */
export const startRetention = (options: RetentionServiceOptions) =>
  serviceOf(options.log, async (lifecycle) => {
    const { broker, blobs, store, access, sessions, agents, conversations, config, log } = options;
    const { model, tail } = store;
    const { tasks, canceller, approvalRules } = options.tasks;
    const { names, records } = sessions;
    const retentionRecords = new RetentionRecords(broker, log);
    const deleter = new Deleter({
      broker,
      tasks,
      model,
      taskDeletion: new TaskDeletion({ broker, blobs, model, messages: new TaskMessageDeletion(broker, blobs), log }),
      sessionDeletion: new SessionDeletion({ broker, blobs, records, names, approvalRules }),
      canceller,
      tokens: access.tokens,
      records,
      names,
      ownerRecords: [
        agents.shared,
        agents.identities,
        agents.profiles,
        approvalRules,
        names,
        access.exchanges,
        retentionRecords,
      ],
      agents: agents.agents.remover,
      conversations,
    });
    const retention = lifecycle.add(
      new Retention({
        broker,
        config,
        candidates: new RetentionCandidates({ broker, model, registry: agents.agents.registry, records }),
        records: retentionRecords,
        deleter,
        isReady: () => tail.caughtUp,
        log,
      }),
    );
    return {
      deleter,
      retention,
      sweep: {
        done: 'deleted unaccepted tasks',
        sweep: (signal: AbortSignal): Promise<number> =>
          deleteUnaccepted({ model, deleter, log }, broker.clock.now(), signal),
      },
      run: (): void => retention.start(),
    };
  });
