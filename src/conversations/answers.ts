import type { Logger } from 'pino';
import { Type } from 'typebox';
import { check } from '../../contracts/wire/check.js';
import { Message } from '../../contracts/agents/messages.js';
import { CONSUMER, STREAM, UUID_PATTERN } from '../../contracts/wire/names.js';
import type { Blobs } from '../broker/blobs.js';
import type { Delivery } from '../broker/consume.js';
import { handleDelivery } from '../errors/handle-delivery.js';
import { ConsumerLoop, type ConsumerLoopOptions } from '../broker/consumer-loop.js';
import type { TurnOutcome } from './trigger.js';
import { nextSignal } from './signals.js';
import { parseJson } from '../json.js';
import type { ConversationReconciler } from './reconciler.js';
import type { ConversationLines } from './lines.js';
import type { ConversationRecords } from './records.js';

export interface AnswersOptions extends ConsumerLoopOptions {
  readonly blobs: Blobs;
  readonly records: Pick<ConversationRecords, 'get'>;
  readonly lines: Pick<ConversationLines, 'textFor'>;
  readonly reconciler: Pick<ConversationReconciler, 'apply'>;
  /** The cost of an ended task in US dollars. @throws {BrokerError} */
  readonly costOf: (taskId: string) => Promise<number>;
  readonly log: Logger;
}

const AT_ONCE = 16;
/** The part of a large message that is stored as an object. */
const Body = Type.Pick(Message, ['content', 'payload']);
const UUID = new RegExp(UUID_PATTERN);

/** Applies agents' answers to their conversations. All APIs share one consumer, so another API handles the answers of one that died. */
export class ConversationAnswers extends ConsumerLoop {
  readonly #options: AnswersOptions;

  constructor(options: AnswersOptions) {
    super(options, { stream: STREAM.messages, consumer: CONSUMER.conversations, atOnce: AT_ONCE });
    this.#options = options;
  }

  protected override handle(delivery: Delivery): Promise<void> {
    const { log } = this.#options;
    return handleDelivery({
      delivery,
      handle: async () => {
        const { data } = (parseJson(delivery.data) ?? {}) as { data?: unknown };
        const message = check(Message, data);
        if (message.ok) await this.#apply(message.value);
        else log.error({ seq: delivery.seq }, 'skipping an invalid answer');
      },
      says: {
        again: 'could not apply an answer to its conversation; retrying',
        givenUp: 'gave up an answer: its turn ends at its timeout',
      },
      log,
    });
  }

  async #apply(message: Message): Promise<void> {
    const { records, reconciler } = this.#options;
    const { conversation_id: id = '', owner, from, reply_to: to } = message;
    if (!UUID.test(id)) return;
    const record = await records.get([id]);
    if (record?.owner !== owner) return;
    if (record.abandoned.some(({ message_id, agent_id }) => message_id === to && agent_id === from))
      return void (await reconciler.apply(id, {
        kind: 'late',
        messageId: to ?? '',
        costUsd: await this.#cost(message),
      }));
    const turn = record.current_turn;
    const participant = record.participants[turn?.participant ?? -1];
    // Only the agent whose turn it is may answer. An external agent may omit `reply_to`.
    if (turn === undefined || participant === undefined || participant.agent_id !== from) return;
    if (to !== undefined && to !== turn.message_id) return;
    const outcome = await this.#outcomeOf(message, id, turn.message_id, participant.part);
    await reconciler.apply(id, outcome);
  }

  async #cost({ task_id: taskId }: Message): Promise<number> {
    return taskId === undefined ? 0 : this.#options.costOf(taskId);
  }

  async #outcomeOf(message: Message, id: string, messageId: string, part: string): Promise<TurnOutcome> {
    const { lines } = this.#options;
    const { task_id: taskId, error, signal } = message;
    const costUsd = await this.#cost(message);
    if (error !== undefined)
      return { kind: 'failure', messageId, error: `${error.code}: ${error.message}`, taskId, costUsd };
    const content = await this.#content(message);
    if (content === undefined)
      return { kind: 'failure', messageId, error: 'internal: the stored answer is invalid', taskId, costUsd };
    const { text, nextSpeaker } = nextSignal(content);
    return {
      kind: 'answer',
      messageId,
      id: message.message_id,
      text: await lines.textFor(id, message.message_id, text),
      ends: signal === 'end',
      nextSpeaker: part === 'moderator' ? nextSpeaker : undefined,
      taskId,
      costUsd,
    };
  }

  /** The answer's text, or its structured output as JSON if it has no text; undefined if the stored answer is invalid. */
  async #content({ ref, ...small }: Message): Promise<string | undefined> {
    const whole = check(Body, ref === undefined ? small : parseJson(await this.#options.blobs.get(ref)));
    if (!whole.ok) return undefined;
    const { content = '', payload } = whole.value;
    const structured = payload?.['structured_output'];
    return content === '' && structured !== undefined ? JSON.stringify(structured) : content;
  }
}
