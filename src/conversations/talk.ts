import type { Logger } from 'pino';
import type { Message } from '../../contracts/agents/messages.js';
import { SUBJECT, UUID_PATTERN } from '../../contracts/wire/names.js';
import type { SpawnRequest } from '../../contracts/tasks/spawn.js';
import type { Blobs } from '../broker/blobs.js';
import type { Broker } from '../broker/connect.js';
import type { EventHub } from '../events/hub.js';
import { applyEvent, type TaskRow } from '../store/projection.js';
import { messageKey } from '../tasks/accept/idempotency-keys.js';
import type { IdempotencyRecords } from '../tasks/accept/once.js';
import type { Agents } from '../agents/agents.js';
import type { Principal } from '../access/principal.js';
import type { Canceller } from '../tasks/steer/cancel.js';
import { ConversationAnswers } from './answers.js';
import { AgentCast, type AgentCastOptions } from './cast.js';
import { Conductor } from './conductor.js';
import { Conversations } from './conversations.js';
import { ConversationLines } from './lines.js';
import { conversationRecords, type ConversationRecords, type Digests } from './records.js';
import { Teller } from './teller.js';

const UUID = new RegExp(UUID_PATTERN);

export interface TalkOptions {
  readonly broker: Broker;
  readonly inboxPrefix: string | undefined;
  readonly blobs: Blobs;
  readonly hub: Pick<EventHub, 'cursor' | 'read'>;
  readonly agents: Agents;
  readonly spawner: AgentCastOptions['spawner'];
  readonly profiles: AgentCastOptions['profiles'];
  readonly idempotency: Pick<IdempotencyRecords, 'get'>;
  readonly canceller: Pick<Canceller, 'cancel'>;
  /** Whether tasks with these options may run. @throws {ApiError} */
  readonly admit: (request: SpawnRequest, principal: Principal) => Promise<void>;
  /** @throws {ApiError} */
  readonly deleteSession: (sessionId: string, principal: Principal) => Promise<unknown>;
  readonly log: Logger;
}

/** All that makes agents talk, put together. */
export class Talk {
  readonly conversations: Conversations;
  readonly #records: ConversationRecords;
  readonly #digests: Digests;
  readonly #conductor: Conductor;
  readonly #answers: ConversationAnswers;

  constructor(options: TalkOptions) {
    const {
      broker,
      inboxPrefix,
      blobs,
      hub,
      agents,
      spawner,
      profiles,
      idempotency,
      canceller,
      admit,
      deleteSession,
      log,
    } = options;
    const { records, digests } = conversationRecords(broker, log);
    const lines = new ConversationLines(broker, blobs);
    const cast = new AgentCast({
      agents,
      spawner,
      profiles,
      admit,
      cancel: async ({ agent_id: agentId, message_id: messageId }, principal) => {
        const task = await idempotency.get(messageKey(agentId, messageId));
        if (task !== undefined) await canceller.cancel(task.task_id, principal);
      },
    });
    const teller = new Teller({ broker, blobs, lines });
    const conductor = new Conductor({ broker, records, digests, lines, teller, mailer: agents.mailer, cast, log });
    this.#records = records;
    this.#digests = digests;
    this.#conductor = conductor;
    this.conversations = new Conversations({
      broker,
      hub,
      registry: agents.registry,
      records,
      digests,
      lines,
      conductor,
      cast,
      deleteSession,
    });
    const costOf = (taskId: string): Promise<number> => costIn(hub, taskId);
    this.#answers = new ConversationAnswers({ broker, inboxPrefix, blobs, records, lines, conductor, costOf, log });
  }

  /** Whether the turn that a message gives is still to be had. @throws {BrokerError} */
  async isWaitedFor({ owner, conversation_id: id = '', message_id: messageId }: Message): Promise<boolean> {
    // Any name may stand there in a message of one's own.
    const record = UUID.test(id) ? await this.#records.get([id]) : undefined;
    return record?.owner === owner && record.status !== 'ended' && record.floor?.message_id === messageId;
  }

  /** Resolves once the conversations are known; from then on they go on. @throws {BrokerError} */
  async start(): Promise<void> {
    await this.#digests.start();
    this.#conductor.start();
    this.#answers.start();
  }

  /** Resolves when nothing is under way. */
  async stop(): Promise<void> {
    await this.#answers.stop();
    await this.#conductor.stop();
    await this.#digests.stop();
  }
}

/** What a task's attempts cost together, by its events. */
async function costIn(hub: Pick<EventHub, 'read'>, taskId: string): Promise<number> {
  let row: TaskRow | undefined;
  for await (const event of hub.read(SUBJECT.taskStates(taskId), 0, Number.MAX_SAFE_INTEGER))
    row = applyEvent(row, event);
  return row?.usage?.cost_usd ?? 0;
}
