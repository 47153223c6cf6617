import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { v5 as uuidv5, v7 as uuidv7 } from 'uuid';
import type { Agent } from '../../contracts/agents/agents.js';
import {
  MESSAGE_NAMESPACE,
  MOST_MESSAGE_BYTES,
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
import { ApiError, guarded, invalid } from '../errors/api-error.js';
import type { Exchanges } from '../access/exchanges.js';
import { onBehalfOf, type Principal } from '../access/principal.js';
import type { Presence } from './presence.js';
import type { AgentRegistry } from './registry.js';
import { routeTask } from './routing.js';
import { timestampOf } from '../clock.js';

export interface MailerOptions {
  readonly broker: Broker;
  readonly blobs: Blobs;
  readonly hub: Pick<EventHub, 'cursor'>;
  readonly registry: Pick<AgentRegistry, 'agent' | 'of' | 'subscribers'>;
  readonly presence: Pick<Presence, 'connected'>;
  readonly exchanges: Pick<Exchanges, 'limit' | 'count' | 'note'>;
  readonly log: Logger;
}

/** What only KSI itself says of a message. */
export interface FromWithin {
  /** Answers that led to it; 0 when a person or an external agent speaks. */
  readonly hops?: number;
  /** The exchange that it belongs to; absent: it begins one. */
  readonly exchange_id?: string | undefined;
  /** How many answers in a row it ends. */
  readonly replies?: number;
  /** The task whose answer it is. */
  readonly task_id?: string;
  /** The output of that task, if it is too large for a message. */
  readonly output_ref?: BlobRef;
  readonly error?: MessageError;
  readonly signal?: 'end';
  readonly traceparent?: string | undefined;
}

/** What a message may take beside its text: ids, its envelope. */
const ENVELOPE_BYTES = 4_096;
/** A body that takes more with all its copies is stored once, and the copies name it. */
const MOST_INLINE_BYTES = 1_048_576;

/** Sends messages: each is an event first, and KSI_MESSAGES takes it from there (ADR 17). Answered once the broker has stored it. */
export class Mailer {
  readonly #options: MailerOptions;
  readonly #batcher: Batcher;

  constructor(options: MailerOptions) {
    this.#options = options;
    this.#batcher = new Batcher(options.broker.publisher);
  }

  /** @throws {ApiError} not_found for an agent of another owner's, no_suitable_agent, no_available_agent */
  async send(request: MessageRequest, principal: Principal, within: FromWithin = {}): Promise<MessageAccepted> {
    const { broker, hub, registry } = this.#options;
    if (!broker.connected()) throw new ApiError('broker_unavailable', 'The connection to the broker is lost');
    const type = request.type ?? 'DIRECT_MESSAGE';
    refuseContradictions(request, type);
    const from = request.from === undefined ? undefined : (await registry.agent(request.from, principal)).value;
    // Whoever sees all speaks in the name of the owner whose agents he lets speak.
    const speaker = from === undefined ? principal : onBehalfOf(principal, from.owner);
    const to = await this.#addressee(request, type, speaker);
    const owner = to?.owner ?? speaker.owner;
    const id = request.message_id ?? uuidv7();
    const message: Message = {
      message_id: id,
      type,
      owner,
      ...(from === undefined ? {} : { from: from.agent_id }),
      ...(to === undefined ? {} : { to: to.agent_id }),
      ...agentOf(to ?? from),
      ...(request.conversation_id === undefined ? {} : { conversation_id: request.conversation_id }),
      ...(request.reply_to === undefined ? {} : { reply_to: request.reply_to }),
      ...(within.task_id === undefined ? {} : { task_id: within.task_id }),
      ...(within.output_ref === undefined ? {} : { output_ref: within.output_ref }),
      token_id: principal.tokenId,
      ...(within.error === undefined ? {} : { error: within.error }),
      ...(within.signal === undefined ? {} : { signal: within.signal }),
      hops: within.hops ?? 0,
      exchange_id: within.exchange_id ?? id,
      ...(within.replies === undefined ? {} : { replies: within.replies }),
      ...(request.content === undefined ? {} : { content: request.content }),
      ...(request.payload === undefined ? {} : { payload: request.payload }),
    };
    const copies = registry.subscribers(owner, type).filter((id) => id !== message.to && id !== message.from);
    await this.#countIn(within, request, message);
    const since = hub.cursor();
    await guarded(() => this.#store(message, copies, within.traceparent));
    return {
      message_id: message.message_id,
      status: to === undefined ? 'published' : this.#takes(to) ? 'delivered' : 'queued',
      ...(to === undefined ? {} : { to: to.agent_id }),
      copies,
      since,
    };
  }

  /** An answer is sent, whatever the limit is: its task has been paid for. @throws {ApiError} exchange_limit */
  async #countIn(
    { exchange_id: exchangeId, task_id: taskId, error }: FromWithin,
    { exchange_limits: limits }: MessageRequest,
    { owner, message_id: id }: Message,
  ): Promise<void> {
    const { exchanges } = this.#options;
    if (exchangeId === undefined) await exchanges.limit(owner, id, limits);
    else if (taskId === undefined && error === undefined) await exchanges.count(owner, exchangeId, 'messages');
    else await exchanges.note(owner, exchangeId, 'messages');
  }

  /** Whether it takes messages now, rather than find them later. */
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
    const what = required.length === 0 ? 'of yours' : `of yours with one of ${required.join(', ')}`;
    if (route.kind === 'no_suitable_agent') throw new ApiError('no_suitable_agent', `There is no agent ${what}`);
    throw new ApiError('no_available_agent', `${route.suitable.join(', ')} would suit, and take no task now`);
  }

  /** The message and its copies; all or none, as long as they are no more than a batch holds. @throws {BrokerError} */
  async #store(message: Message, copies: readonly string[], traceparent: string | undefined): Promise<void> {
    const { blobs, broker } = this.#options;
    const timestamp = timestampOf(broker.clock);
    const { content, payload, ...rest } = message;
    const body = Buffer.from(JSON.stringify({ content, payload }));
    if (body.length > MOST_MESSAGE_BYTES)
      throw new ApiError('body_too_large', `A message may have ${MOST_MESSAGE_BYTES} bytes, not ${body.length}`);
    const small = body.length * (1 + copies.length) <= MOST_INLINE_BYTES;
    if (small && !blobs.needed(body.length + ENVELOPE_BYTES))
      return this.#publish(publicationsOf(timestamp, message, copies, traceparent));
    const ref = await blobs.put(blobName(message), body);
    const progress = { named: false };
    try {
      await this.#publish(publicationsOf(timestamp, { ...rest, ref }, copies, traceparent), progress);
    } catch (error) {
      // Without an answer it may be stored all the same.
      progress.named ||= isBrokerError(error, 'unavailable');
      throw error;
    } finally {
      // What was stored before names the body that came with it then.
      if (!progress.named) await this.#deleteUnused(ref.name);
    }
  }

  /** @param progress says whether any was stored that had not been before. @throws {BrokerError} */
  async #publish(publications: Iterable<Publication>, progress = { named: false }): Promise<void> {
    const { publisher } = this.#options.broker;
    for (const batch of batchesOf(publications)) {
      const [only] = batch;
      if (batch.length === 1 && only !== undefined) {
        const { duplicate } = await this.#batcher.publish(only);
        progress.named ||= !duplicate;
        continue;
      }
      try {
        await publisher.publishBatch(batch);
        progress.named = true;
      } catch (error) {
        // It comes again, and some of it is stored: each is taken once.
        if (!isBrokerError(error, 'duplicate')) throw error;
        for (const each of batch) {
          const { duplicate } = await publisher.publish(each);
          progress.named ||= !duplicate;
        }
      }
    }
  }

  async #deleteUnused(blob: string): Promise<void> {
    const { blobs, log } = this.#options;
    await blobs
      .delete(blob)
      .catch((error: unknown) => log.warn({ err: error, blob }, 'a body that nothing names could not be deleted'));
  }
}

function refuseContradictions(request: MessageRequest, type: string): void {
  if (type === 'BROADCAST' && request.to !== undefined)
    throw invalid([{ field: 'to', message: 'is not for a BROADCAST, which is for all that subscribe to it' }]);
  // A person has no inbox: what an agent says to its owner is an event.
  if (type === 'DIRECT_MESSAGE' && request.to === undefined && request.from === undefined)
    throw invalid([{ field: 'to', message: 'is required of a DIRECT_MESSAGE, unless an agent speaks to its owner' }]);
}

const agentOf = (agent: Agent | undefined): Pick<Message, 'agent_id'> =>
  agent === undefined ? {} : { agent_id: agent.agent_id };

/** Where the body of a message lies apart: nobody else's goes there, nor the same one sent again. Whoever reads or deletes it has its name from `ref`. */
const blobName = ({ to, owner, message_id: id }: Message): string =>
  `event/agent/${to ?? NOBODY}/${owner}/${id}/${randomUUID()}`;

/** Made one by one, as they are sent: together they may be large. */
function* publicationsOf(
  timestamp: string,
  message: Message,
  copies: readonly string[],
  traceparent: string | undefined,
): Generator<Publication> {
  const { message_id: id, owner, type, to } = message;
  const publication = <T extends EventType>(event: StoredEvent<T>, subject: string): Publication => ({
    ...eventPublication(event, subject, undefined, traceparent),
    // An id that a client chose is its owner's.
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
