import type { Logger } from 'pino';
import { Type } from 'typebox';
import { v5 as uuidv5 } from 'uuid';
import { check } from '../../contracts/wire/check.js';
import { ANSWER_MESSAGE, isTurnMessage } from '../../contracts/conversations/conversations.js';
import { EVENT_DATA, type EventData, type StoredEvent } from '../../contracts/events/events.js';
import { MESSAGE_NAMESPACE, type MessageRequest } from '../../contracts/agents/messages.js';
import type { SourceMessage } from '../../contracts/tasks/message.js';
import { CONSUMER, NOBODY, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { TASK_STATES } from '../../contracts/tasks/states.js';
import { LARGE_BODY_BYTES } from '../../contracts/wire/blob.js';
import type { Blobs } from '../broker/blobs.js';
import type { Delivery } from '../broker/consume.js';
import { eventIn } from '../broker/events.js';
import { readEndedCommand } from '../broker/ended-commands.js';
import { lastBySubject, sourceOf } from '../broker/read.js';
import { ConsumerLoop, type ConsumerLoopOptions } from '../broker/consumer-loop.js';
import { parseJson } from '../json.js';
import { ApiError } from '../errors/api-error.js';
import { handleDelivery } from '../errors/handle-delivery.js';
import { answerIn, answerOf, turnAnswer, type Answer } from './reactions.js';
import type { AgentEnder } from './end-agent.js';
import type { InternalFields, MessageSender } from './message-sender.js';
import { MessageIdIndex } from './message-id-index.js';
import type { MessageTaskCreator } from './message-task.js';
import { defined } from '../defined.js';

export interface AnswerSenderOptions extends ConsumerLoopOptions {
  readonly blobs: Blobs;
  readonly messageSender: Pick<MessageSender, 'send'>;
  readonly tasks: Pick<MessageTaskCreator, 'principal'>;
  readonly ending: Pick<AgentEnder, 'end'>;
  readonly log: Logger;
}

const AT_ONCE = 32;
/** The fields that all outcomes of an agent's task have. */
const Identity = Type.Pick(EVENT_DATA.SPAWN_CANCELLED, ['task_id', 'session_id', 'owner', 'agent_id']);
/** The broker deduplicates for 2 min. Older outcomes need a search for a stored answer; the rest is a safety margin. */
const CERTAIN_MS = 60_000;
const MARK = Buffer.from('"agent_id":"');

type Outcome = StoredEvent<'SPAWN_COMPLETE' | 'SPAWN_ERROR' | 'SPAWN_CANCELLED' | 'SPAWN_EXPIRED'>;

/**
 * Sends a managed agent's answer when its task ends: to the sender of the message, in the same conversation, exactly once (ADR 18). The
 * answer's id is derived from the task id, so the broker discards duplicates. After its deduplication window, a search of the stream
 * comes first.
 */
export class AnswerSender extends ConsumerLoop {
  readonly #options: AnswerSenderOptions;
  readonly #stored: MessageIdIndex;

  constructor(options: AnswerSenderOptions) {
    super(options, { stream: STREAM.outcomes, consumer: CONSUMER.answers, atOnce: AT_ONCE });
    this.#options = options;
    this.#stored = new MessageIdIndex(options.broker, STREAM.events);
  }

  protected override handle(delivery: Delivery): Promise<void> {
    const { log } = this.#options;
    return handleDelivery({
      delivery,
      handle: async () => {
        // Most tasks belong to no agent.
        const event = Buffer.from(delivery.data).includes(MARK) ? eventIn(delivery.data) : undefined;
        if (event === undefined) return;
        const outcome = check(Identity, event.data);
        if (outcome.ok) await this.#answer(event as Outcome, delivery);
        else
          log.error(
            { seq: delivery.seq },
            "skipped a task's outcome that does not match its schema; its sender gets no answer",
          );
      },
      says: {
        again: "could not send an agent's answer; retrying",
        givenUp: "gave up sending an agent's answer",
      },
      log,
    });
  }

  async #answer(event: Outcome, delivery: Delivery): Promise<void> {
    const { task_id: taskId, agent_id: agentId = '', owner } = event.data;
    const { ref } = event.data as Partial<EventData<'SPAWN_COMPLETE'>>;
    const tooLarge = ref !== undefined && ref.size > LARGE_BODY_BYTES ? ref : undefined;
    const answer = tooLarge === undefined ? answerOf(await this.#withBody(event)) : answerIn(tooLarge, taskId);
    if (answer.message === undefined && answer.silent !== true) return;
    const message = await this.#messageOf(event);
    if (message !== undefined && isTurnMessage(message)) {
      const word = turnAnswer(answer);
      return word === undefined ? undefined : this.#send(event, word, message, delivery);
    }
    if (answer.message !== undefined && message !== undefined)
      await this.#send(event, answer.message, message, delivery);
    // A task that the agent spawned with an agent tool has no sender to answer.
    if (answer.ends && message !== undefined) await this.#options.ending.end({ agent_id: agentId, owner }, taskId);
  }

  async #send(
    event: Outcome,
    { error, signal, output_ref, ...said }: NonNullable<Answer['message']>,
    to: SourceMessage,
    delivery: Delivery,
  ): Promise<void> {
    const { messageSender, tasks, log } = this.#options;
    const { task_id: taskId, agent_id: agentId = '', owner } = event.data;
    const request: MessageRequest = defined({
      ...(isTurnMessage(to) ? { type: ANSWER_MESSAGE } : {}),
      from: agentId,
      to: to.from,
      conversation_id: to.conversation_id,
      reply_to: to.message_id,
      message_id: uuidv5(`answer/${taskId}`, MESSAGE_NAMESPACE),
      ...said,
    });
    const old = this.#options.broker.clock.now() - Date.parse(event.timestamp) > CERTAIN_MS;
    if ((old || delivery.count > 1) && (await this.#isStored(request, owner, sourceOf(delivery)))) return;
    const by = tasks.principal(owner, to.token_id);
    const within: InternalFields = defined({
      hops: to.hops + 1,
      replies: (to.replies ?? 0) + 1,
      exchange_id: to.exchange_id ?? to.message_id,
      task_id: taskId,
      error,
      signal,
      output_ref,
    });
    try {
      await messageSender.send(request, by, within).catch(async (thrown: unknown) => {
        if (!isRefused(thrown)) throw thrown;
        // The recipient may be waiting, so it gets the reason instead of the answer.
        log.warn(
          { err: thrown, task_id: taskId, agent_id: agentId },
          "an agent's answer was refused; sending the reason",
        );
        const { content: _content, payload: _payload, ...rest } = request;
        const { code, message } = thrown;
        const why = `The answer could not be sent: ${message}`;
        await messageSender.send({ ...rest, content: why }, by, { ...within, error: { code, message: why } });
      });
    } catch (thrown) {
      // The agent or the recipient has been deleted.
      if (!(thrown instanceof ApiError && thrown.code === 'not_found')) throw thrown;
      log.info({ task_id: taskId, agent_id: agentId }, 'dropped an answer: its agent or its recipient was deleted');
    }
  }

  /** Whether the recipient has received this message since the outcome. @throws {BrokerError} */
  #isStored(
    { type = 'DIRECT_MESSAGE', to, message_id: id = '' }: MessageRequest,
    owner: string,
    after: number,
  ): Promise<boolean> {
    return this.#stored.has(SUBJECT.agentMessage(to ?? NOBODY, type), owner, id, after);
  }

  /** The message that the task answers, from SPAWN_QUEUED. If an API crashed before it published that, from the command. */
  async #messageOf({ data: { task_id: taskId, session_id: sessionId } }: Outcome): Promise<SourceMessage | undefined> {
    const { broker, blobs } = this.#options;
    const subject = SUBJECT.taskState(taskId, TASK_STATES.queued.token);
    const queued = await lastBySubject(broker, STREAM.events, subject);
    const event = queued === undefined ? undefined : eventIn(queued.data);
    if (event !== undefined) return (event as StoredEvent<'SPAWN_QUEUED'>).data.message;
    const command = await readEndedCommand(broker, blobs, { taskId, sessionId });
    if (command === undefined) throw new Error(`the broker has neither SPAWN_QUEUED nor the command of task ${taskId}`);
    return command.message;
  }

  /** Reads the body if it was stored as an object. @throws {BrokerError} */
  async #withBody(event: Outcome): Promise<Outcome> {
    const { ref } = event.data as Partial<EventData<'SPAWN_COMPLETE'>>;
    if (ref === undefined) return event;
    const output = parseJson(await this.#options.blobs.get(ref));
    return { ...event, data: { ...event.data, output } } as Outcome;
  }
}

/** Whether a retry would be refused too. A deleted recipient does not count: nobody is left to be told the reason. */
const isRefused = (error: unknown): error is ApiError =>
  error instanceof ApiError && !error.retryable && error.code !== 'not_found';
