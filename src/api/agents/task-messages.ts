import { givesWord } from '../../../contracts/conversations.js';
import type { StoredEvent } from '../../../contracts/events.js';
import type { Message, TaskMessage } from '../../../contracts/messages.js';
import { NOBODY, STREAM, SUBJECT } from '../../../contracts/names.js';
import type { Blobs } from '../../broker/blobs.js';
import type { Broker } from '../../broker/connect.js';
import { bySequence, deleteMessage, nextBySubject, sourceOf, streamPosition, type Stored } from '../../broker/read.js';
import { parseJson } from '../../json.js';

/** Other messages on the same subject that may stand between an outcome and its answer, or between a message and its copies. */
const MOST_BETWEEN = 200;

/** What the deletion of a managed agent's task needs to know of it. */
export interface AgentTask {
  readonly task_id: string;
  readonly message?: TaskMessage | undefined;
}

/**
 * Deletes the message that a managed agent's task answers, its answer, and the copies of both: they are the task's prompt and result.
 * A turn of a conversation stays: its words belong to the conversation.
 */
export class TaskMessages {
  readonly #broker: Broker;
  readonly #blobs: Pick<Blobs, 'delete'>;

  constructor(broker: Broker, blobs: Pick<Blobs, 'delete'>) {
    this.#broker = broker;
    this.#blobs = blobs;
  }

  /** @param outcome the sequence of the task's outcome in KSI_EVENTS, after which its answer was sent; 0: not known. @throws {BrokerError} */
  async remove({ task_id: taskId, message }: AgentTask, outcome: number): Promise<void> {
    if (message === undefined || givesWord(message)) return;
    await this.#removeAsked(message);
    if (outcome > 0) await this.#removeAnswer(taskId, message.from ?? NOBODY, outcome);
  }

  async #removeAsked({ message_id: id, seq, type }: TaskMessage): Promise<void> {
    const stored = seq === undefined ? undefined : await bySequence(this.#broker, STREAM.messages, seq);
    // A stream that was made anew has other messages in their places.
    if (stored === undefined || messageIn(stored)?.message_id !== id) return;
    await this.#removeWhole(stored, sourceOf(stored), type);
  }

  async #removeAnswer(taskId: string, to: string, outcome: number): Promise<void> {
    let answer: Stored | undefined;
    for (let at = outcome + 1, seen = 0; seen < MOST_BETWEEN; seen++) {
      answer = await nextBySubject(this.#broker, STREAM.events, SUBJECT.agentMessage(to, '*'), at);
      if (answer === undefined) return;
      if (messageIn(answer)?.task_id === taskId) break;
      at = answer.seq + 1;
      answer = undefined;
    }
    const message = answer === undefined ? undefined : messageIn(answer);
    if (answer === undefined || message === undefined) return;
    await this.#removeWhole(await this.#taken(answer.seq), answer.seq, message.type);
  }

  /** @param inbox what stands in KSI_MESSAGES. @param source the sequence of the same in KSI_EVENTS. */
  async #removeWhole(inbox: Stored | undefined, source: number, type: string): Promise<void> {
    const event = source === 0 ? undefined : await bySequence(this.#broker, STREAM.events, source);
    const message = messageIn(event ?? inbox);
    if (message === undefined) return;
    const { message_id: id, ref } = message;
    for (let at = source + 1, between = 0; between < MOST_BETWEEN;) {
      const copy = await nextBySubject(this.#broker, STREAM.events, SUBJECT.agentCopy('*', type), at);
      if (copy === undefined) break;
      at = copy.seq + 1;
      if (messageIn(copy)?.message_id === id) await this.#removeBoth(copy, await this.#taken(copy.seq));
      else between++;
    }
    if (ref !== undefined) await this.#blobs.delete(ref.name);
    await this.#removeBoth(event, inbox);
  }

  /** The event first: KSI_MESSAGES takes from it. */
  async #removeBoth(event: Stored | undefined, inbox: Stored | undefined): Promise<void> {
    if (event !== undefined) await deleteMessage(this.#broker, STREAM.events, event.seq);
    if (inbox !== undefined) await deleteMessage(this.#broker, STREAM.messages, inbox.seq);
  }

  /** What KSI_MESSAGES took from a place in KSI_EVENTS. It takes in order, so a binary search finds it. */
  async #taken(source: number): Promise<Stored | undefined> {
    const { firstSeq, lastSeq } = await streamPosition(this.#broker, STREAM.messages);
    let [low, high] = [firstSeq, lastSeq];
    while (low <= high) {
      const middle = Math.floor((low + high) / 2);
      const found = await nextBySubject(this.#broker, STREAM.messages, SUBJECT.messagesAll, middle);
      const at = found === undefined ? Infinity : sourceOf(found);
      if (at === source) return found;
      if (at < source) low = (found?.seq ?? middle) + 1;
      else high = middle - 1;
    }
    return undefined;
  }
}

function messageIn(stored: Stored | undefined): Message | undefined {
  const { data } = (stored === undefined ? {} : (parseJson(stored.data) ?? {})) as Partial<
    StoredEvent<'AGENT_MESSAGE'>
  >;
  return data;
}
