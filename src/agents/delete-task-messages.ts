import { isTurnMessage } from '../../contracts/conversations/conversations.js';
import type { StoredEvent } from '../../contracts/events/events.js';
import type { Message } from '../../contracts/agents/messages.js';
import type { SourceMessage } from '../../contracts/tasks/message.js';
import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
import type { Blobs } from '../broker/blobs.js';
import type { Broker } from '../broker/connect.js';
import { bySequence, deleteMessage, sourceOf, type Stored } from '../broker/read.js';
import { readStream } from '../broker/replay.js';
import { parseJson } from '../json.js';

/** A managed agent's task that is to be deleted. */
export interface AgentTask {
  readonly task_id: string;
  readonly owner: string;
  readonly message?: SourceMessage | undefined;
}

type Matches = (message: Message) => boolean;

/**
 * Deletes the messages that managed agents' tasks answer, the answers, and the copies of both, since they contain the tasks' prompts and
 * results. Messages of a conversation stay, as they belong to the conversation.
 */
export class TaskMessageDeletion {
  readonly #broker: Broker;
  readonly #blobs: Pick<Blobs, 'delete'>;

  constructor(broker: Broker, blobs: Pick<Blobs, 'delete'>) {
    this.#broker = broker;
    this.#blobs = blobs;
  }

  /**
   * Reads all messages since the first one that these tasks answer, once for all tasks. An answer, a copy or a repeated message may be
   * anywhere after it. @throws {BrokerError}
   */
  async remove(tasks: readonly AgentTask[]): Promise<void> {
    const ids = new Set<string>();
    const taskIds = new Set<string>();
    let first = Infinity;
    for (const { task_id: id, owner, message } of tasks) {
      if (message === undefined || isTurnMessage(message)) continue;
      taskIds.add(id);
      ids.add(`${owner}/${message.message_id}`);
      first = Math.min(first, message.seq ?? 1);
    }
    if (taskIds.size === 0) return;
    const matches: Matches = ({ owner, message_id: id, task_id: task = '' }) =>
      taskIds.has(task) || ids.has(`${owner}/${id}`);
    const stored = await bySequence(this.#broker, STREAM.messages, first);
    const found = messageIn(stored);
    // If the first message has expired, or the stream was re-created with other sequences, read from the beginning.
    const after = found !== undefined && matches(found) ? { event: sourceOf(stored) - 1, message: first - 1 } : NOWHERE;
    // Events first, because KSI_MESSAGES sources from them.
    await this.#removeFrom(STREAM.events, SUBJECT.agentMail('*'), after.event, matches);
    await this.#removeFrom(STREAM.messages, SUBJECT.messagesAll, after.message, matches);
  }

  async #removeFrom(stream: string, filter: string, after: number, matches: Matches): Promise<void> {
    for await (const stored of readStream(this.#broker, stream, filter, after, Number.MAX_SAFE_INTEGER)) {
      const message = messageIn(stored);
      if (message === undefined || !matches(message)) continue;
      // The body first: if this breaks off, the message still refers to it.
      if (message.ref !== undefined) await this.#blobs.delete(message.ref.name);
      await deleteMessage(this.#broker, stream, stored.seq);
    }
  }
}

const NOWHERE = { event: 0, message: 0 };

function messageIn(stored: Stored | undefined): Message | undefined {
  const { data } = (stored === undefined ? {} : (parseJson(stored.data) ?? {})) as Partial<
    StoredEvent<'AGENT_MESSAGE'>
  >;
  return data;
}
