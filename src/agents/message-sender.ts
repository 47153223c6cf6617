import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { v5 as uuidv5, v7 as uuidv7 } from 'uuid';
import type { Agent } from '../../contracts/agents/agents.js';
import {
  MESSAGE_NAMESPACE,
  MAX_MESSAGE_BYTES,
  type Message,
  type MessageAccepted,
  type MessageError,
  type MessageRequest,
} from '../../contracts/agents/messages.js';
import { FORMAT_VERSION, NOBODY, SUBJECT } from '../../contracts/wire/names.js';
import type { EventType, StoredEvent } from '../../contracts/events/events.js';
import type { BlobRef } from '../../contracts/wire/blob.js';
import type { Blobs } from '../broker/blobs.js';
import type { Broker } from '../broker/connect.js';
import { isBrokerError } from '../broker/errors.js';
import { eventPublication } from '../broker/events.js';
import type { Publication } from '../broker/publish.js';
import type { EventHub } from '../events/hub.js';
import { Batcher, batchesOf } from '../broker/batcher.js';
import { ApiError, withApiErrors, invalid } from '../errors/api-error.js';
import type { Exchanges } from '../access/exchanges.js';
import { onBehalfOf, type Principal } from '../access/principal.js';
import type { PresenceRegistry } from './presence.js';
import type { AgentRegistry } from './registry.js';
import { routeTask } from './routing.js';
import { timestampOf } from '../clock.js';
import { defined } from '../defined.js';

export interface MessageSenderOptions {
  readonly broker: Broker;
  readonly blobs: Blobs;
  readonly hub: Pick<EventHub, 'cursor'>;
  readonly registry: Pick<AgentRegistry, 'agent' | 'of' | 'subscribers'>;
  readonly presence: Pick<PresenceRegistry, 'connected'>;
  readonly exchanges: Pick<Exchanges, 'limit' | 'count' | 'note'>;
  readonly log: Logger;
}

/** Fields of a message that only KSI itself may set. */
export interface InternalFields {
  /** The number of answers that led to it. 0: sent by a person or an external agent. */
  readonly hops?: number;
  /** Absent: the message begins a new exchange. */
  readonly exchange_id?: string | undefined;
  /** The number of consecutive answers, including this one. */
  readonly replies?: number;
  /** The task whose answer it is. */
  readonly task_id?: string;
  /** The output of that task, if it is too large for a message. */
  readonly output_ref?: BlobRef;
  readonly error?: MessageError;
  readonly signal?: 'end';
  readonly traceparent?: string | undefined;
}

/** An upper bound for the envelope and ids of a message. */
const ENVELOPE_BYTES = 4_096;
/** If the body and all its copies exceed this, the body is stored once as an object, and the copies refer to it. */
const MAX_INLINE_BYTES = 1_048_576;

/** Sends messages. Each is published as an event, from which KSI_MESSAGES sources it (ADR 17). */
export class MessageSender {
  readonly #options: MessageSenderOptions;
  readonly #batcher: Batcher;

  constructor(options: MessageSenderOptions) {
    this.#options = options;
    this.#batcher = new Batcher(options.broker.publisher);
  }

  /**
   * Resolves once the broker has stored the message.
   * @throws {ApiError} not_found (also for another owner's agent), no_suitable_agent, no_available_agent
   */
  async send(request: MessageRequest, principal: Principal, within: InternalFields = {}): Promise<MessageAccepted> {
    const { broker, hub, registry } = this.#options;
    if (!broker.connected()) throw new ApiError('broker_unavailable', 'The API has lost its connection to the broker');
    const type = request.type ?? 'DIRECT_MESSAGE';
    refuseContradictions(request, type);
    const from = request.from === undefined ? undefined : (await registry.agent(request.from, principal)).value;
    // An admin who sends as another owner's agent acts as that owner.
    const speaker = from === undefined ? principal : onBehalfOf(principal, from.owner);
    const to = await this.#addressee(request, type, speaker);
    const owner = to?.owner ?? speaker.owner;
    const id = request.message_id ?? uuidv7();
    const message: Message = defined({
      message_id: id,
      type,
      owner,
      ...(from === undefined ? {} : { from: from.agent_id }),
      ...(to === undefined ? {} : { to: to.agent_id }),
      ...agentOf(to ?? from),
      conversation_id: request.conversation_id,
      reply_to: request.reply_to,
      task_id: within.task_id,
      output_ref: within.output_ref,
      token_id: principal.tokenId,
      error: within.error,
      signal: within.signal,
      hops: within.hops ?? 0,
      exchange_id: within.exchange_id ?? id,
      replies: within.replies,
      content: request.content,
      payload: request.payload,
    });
    const copies = registry.subscribers(owner, type).filter((id) => id !== message.to && id !== message.from);
    await this.#countIn(within, request, message);
    const since = hub.cursor();
    await withApiErrors(() => this.#store(message, copies, within.traceparent));
    return {
      message_id: message.message_id,
      status: to === undefined ? 'published' : this.#takes(to) ? 'delivered' : 'queued',
      ...(to === undefined ? {} : { to: to.agent_id }),
      copies,
      since,
    };
  }

  /** An answer is counted but never refused, because its task has already been paid for. @throws {ApiError} exchange_limit */
  async #countIn(
    { exchange_id: exchangeId, task_id: taskId, error }: InternalFields,
    { exchange_limits: limits }: MessageRequest,
    { owner, message_id: id }: Message,
  ): Promise<void> {
    const { exchanges } = this.#options;
    if (exchangeId === undefined) await exchanges.limit(owner, id, limits);
    else if (taskId === undefined && error === undefined) await exchanges.count(owner, exchangeId, 'messages');
    else await exchanges.note(owner, exchangeId, 'messages');
  }

  /** Whether the agent processes messages now rather than when it comes back. */
  #takes = ({ agent_id: id, kind, status }: Agent): boolean =>
    status === 'active' && (kind === 'managed' || this.#options.presence.connected(id));

  async #addressee(request: MessageRequest, type: string, speaker: Principal): Promise<Agent | undefined> {
    const { registry } = this.#options;
    if (request.to !== undefined) return (await registry.agent(request.to, speaker)).value;
    if (type !== 'TASK_ASSIGNMENT') return undefined;
    const candidates = registry.of(speaker.owner).filter(({ agent_id: id }) => id !== request.from);
    const required = request.required_capabilities ?? [];
    const route = routeTask(candidates, required, this.#takes);
    if (route.kind === 'routed') return route.agent;
    const what = required.length === 0 ? 'no agent' : `no agent with any of ${required.join(', ')}`;
    if (route.kind === 'no_suitable_agent') throw new ApiError('no_suitable_agent', `${speaker.owner} has ${what}`);
    throw new ApiError('no_available_agent', `No suitable agent is available now: ${route.suitable.join(', ')}`);
  }

  /** Stores the message and its copies; atomically, if they fit in one batch. @throws {BrokerError} */
  async #store(message: Message, copies: readonly string[], traceparent: string | undefined): Promise<void> {
    const { blobs, broker } = this.#options;
    const timestamp = timestampOf(broker.clock);
    const { content, payload, ...rest } = message;
    const body = Buffer.from(JSON.stringify({ content, payload }));
    if (body.length > MAX_MESSAGE_BYTES)
      throw new ApiError(
        'body_too_large',
        `The message has ${body.length} bytes; at most ${MAX_MESSAGE_BYTES} are allowed`,
      );
    const small = body.length * (1 + copies.length) <= MAX_INLINE_BYTES;
    if (small && !blobs.needed(body.length + ENVELOPE_BYTES))
      return this.#publish(publicationsOf(timestamp, message, copies, traceparent));
    const ref = await blobs.put(blobName(message), body);
    const progress = { referenced: false };
    try {
      await this.#publish(publicationsOf(timestamp, { ...rest, ref }, copies, traceparent), progress);
    } catch (error) {
      // Without a confirmation the broker may still have stored a message.
      progress.referenced ||= isBrokerError(error, 'unavailable');
      throw error;
    } finally {
      // If all were duplicates, the stored messages refer to the body of the first attempt.
      if (!progress.referenced) await this.#deleteUnusedBody(ref.name);
    }
  }

  /** @param progress becomes `referenced` when a message is stored that is not a duplicate. @throws {BrokerError} */
  async #publish(publications: Iterable<Publication>, progress = { referenced: false }): Promise<void> {
    const { publisher } = this.#options.broker;
    for (const batch of batchesOf(publications)) {
      const [only] = batch;
      if (batch.length === 1 && only !== undefined) {
        const { duplicate } = await this.#batcher.publish(only);
        progress.referenced ||= !duplicate;
        continue;
      }
      try {
        await publisher.publishBatch(batch);
        progress.referenced = true;
      } catch (error) {
        // A repeat, part of which is stored already. Publish one by one: the broker discards the duplicates.
        if (!isBrokerError(error, 'duplicate')) throw error;
        for (const each of batch) {
          const { duplicate } = await publisher.publish(each);
          progress.referenced ||= !duplicate;
        }
      }
    }
  }

  async #deleteUnusedBody(blob: string): Promise<void> {
    const { blobs, log } = this.#options;
    await blobs
      .delete(blob)
      .catch((error: unknown) =>
        log.warn(
          { err: error, blob },
          'could not delete an unused message body; it takes space until its agent is deleted',
        ),
      );
  }
}

function refuseContradictions(request: MessageRequest, type: string): void {
  if (type === 'BROADCAST' && request.to !== undefined)
    throw invalid([{ field: 'to', message: 'must be absent for a BROADCAST, which goes to all subscribers' }]);
  // A person has no inbox. A message from an agent to its owner is an event only.
  if (type === 'DIRECT_MESSAGE' && request.to === undefined && request.from === undefined)
    throw invalid([
      {
        field: 'to',
        message: 'is required for a DIRECT_MESSAGE, unless `from` is set: then the message goes to the owner',
      },
    ]);
}

const agentOf = (agent: Agent | undefined): Pick<Message, 'agent_id'> =>
  agent === undefined ? {} : { agent_id: agent.agent_id };

/** Unique, also for a repeat of the same message. Readers take the name from `ref`. */
const blobName = ({ to, owner, message_id: id }: Message): string =>
  `event/agent/${to ?? NOBODY}/${owner}/${id}/${randomUUID()}`;

/** Lazy, because all copies together can be large. */
function* publicationsOf(
  timestamp: string,
  message: Message,
  copies: readonly string[],
  traceparent: string | undefined,
): Generator<Publication> {
  const { message_id: id, owner, type, to } = message;
  const publication = <T extends EventType>(event: StoredEvent<T>, subject: string): Publication => ({
    ...eventPublication(event, subject, undefined, traceparent),
    // Clients choose ids, so two owners may use the same one.
    msgId: `${owner}/${event.id}`,
  });
  const envelope = { v: FORMAT_VERSION, timestamp };
  yield publication(
    { ...envelope, id, type: 'AGENT_MESSAGE', data: message },
    SUBJECT.agentMessage(to ?? NOBODY, type),
  );
  for (const subscriber of copies)
    yield publication(
      {
        ...envelope,
        id: uuidv5(`${id}/${subscriber}`, MESSAGE_NAMESPACE),
        type: 'AGENT_COPY',
        data: { ...message, agent_id: subscriber },
      },
      SUBJECT.agentCopy(subscriber, type),
    );
}
