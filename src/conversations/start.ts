import type { Logger } from 'pino';
import type { Config } from '../../contracts/config/config.js';
import type { Message } from '../../contracts/agents/messages.js';
import { SUBJECT, UUID_PATTERN } from '../../contracts/wire/names.js';
import type { AgentsService } from '../agents/start.js';
import type { Blobs } from '../broker/blobs.js';
import type { Broker } from '../broker/connect.js';
import type { EventHub } from '../events/hub.js';
import { serviceOf } from '../process/lifecycle.js';
import { applyEvent, type TaskRow } from '../store/projection.js';
import type { Store } from '../store/start.js';
import { messageKey } from '../tasks/accept/idempotency-keys.js';
import type { Tasks } from '../tasks/start.js';
import { ConversationAnswers } from './answers.js';
import { Conversations, type ConversationsOptions } from './conversations.js';
import { EventOutbox } from './event-outbox.js';
import { ConversationLines } from './lines.js';
import { ParticipantAgents } from './participant-agents.js';
import { ConversationReconciler } from './reconciler.js';
import { conversationRecords } from './records.js';

const UUID = new RegExp(UUID_PATTERN);

export interface ConversationServiceOptions {
  readonly broker: Broker;
  readonly blobs: Blobs;
  readonly store: Pick<Store, 'hub'>;
  readonly tasks: Pick<Tasks, 'acceptor' | 'canceller' | 'idempotency'>;
  readonly agents: Pick<AgentsService, 'agents' | 'profiles' | 'spawner'>;
  readonly deleteSession: ConversationsOptions['deleteSession'];
  readonly config: Config;
  readonly log: Logger;
}

export type ConversationService = Awaited<ReturnType<typeof startConversations>>;

/** Conversations, and the loops that drive them. */
export const startConversations = (options: ConversationServiceOptions) =>
  serviceOf(options.log, async (lifecycle) => {
    const { broker, blobs, store, tasks, agents: domain, deleteSession, config, log } = options;
    const { agents, spawner, profiles } = domain;
    const { hub } = store;
    const { records, summaries } = conversationRecords(broker, log);
    lifecycle.add(summaries);
    const lines = new ConversationLines(broker, blobs);
    const participantAgents = new ParticipantAgents({
      agents,
      spawner,
      profiles,
      admit: (options, principal) => tasks.acceptor.admit(options, principal),
      cancel: async ({ agent_id: agentId, message_id: messageId }, principal) => {
        const task = await tasks.idempotency.get(messageKey(agentId, messageId));
        if (task !== undefined) await tasks.canceller.cancel(task.task_id, principal);
      },
    });
    const reconciler = lifecycle.add(
      new ConversationReconciler({
        broker,
        records,
        summaries,
        lines,
        outbox: new EventOutbox({ broker, blobs, lines }),
        messageSender: agents.messageSender,
        agents: participantAgents,
        log,
      }),
    );
    const answers = lifecycle.add(
      new ConversationAnswers({
        broker,
        inboxPrefix: config.KSI_NATS_INBOX,
        blobs,
        records,
        lines,
        reconciler,
        costOf: (taskId) => costOf(hub, taskId),
        log,
      }),
    );
    const { registry } = agents;
    return {
      conversations: new Conversations({
        broker,
        hub,
        registry,
        records,
        summaries,
        lines,
        reconciler,
        agents: participantAgents,
        deleteSession,
      }),
      /** Whether a conversation waits for the answer to this message. @throws {BrokerError} */
      async isAwaited({ owner, conversation_id: id = '', message_id: messageId }: Message): Promise<boolean> {
        // A client chooses the conversation_id of its own messages, so the id may have any form.
        const record = UUID.test(id) ? await records.get([id]) : undefined;
        return record?.owner === owner && record.status !== 'ended' && record.current_turn?.message_id === messageId;
      },
      /** Reads the stored conversations, then drives them. @throws {BrokerError} */
      async run(): Promise<void> {
        await summaries.start();
        reconciler.start();
        answers.start();
      },
    };
  });

/** The total cost of a task's attempts, from its events. */
async function costOf(hub: Pick<EventHub, 'read'>, taskId: string): Promise<number> {
  let row: TaskRow | undefined;
  for await (const event of hub.read(SUBJECT.taskStates(taskId), 0, Number.MAX_SAFE_INTEGER))
    row = applyEvent(row, event);
  return row?.usage?.cost_usd ?? 0;
}
