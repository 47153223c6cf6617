import type { Logger } from 'pino';
import { Type } from 'typebox';
import { check } from '../../contracts/wire/check.js';
import { Message } from '../../contracts/agents/messages.js';
import { CONSUMER, STREAM, UUID_PATTERN } from '../../contracts/wire/names.js';
import type { Blobs } from '../broker/blobs.js';
import type { Broker } from '../broker/connect.js';
import type { Delivery } from '../broker/consume.js';
import { handled } from '../broker/handled.js';
import { Work } from '../broker/work.js';
import type { Happening } from './decide.js';
import { nextSignal } from './signals.js';
import { parseJson } from '../json.js';
import type { Conductor } from './conductor.js';
import type { ConversationLines } from './lines.js';
import type { ConversationRecords } from './records.js';

export interface AnswersOptions {
  readonly broker: Broker;
  readonly inboxPrefix?: string | undefined;
  readonly blobs: Blobs;
  readonly records: Pick<ConversationRecords, 'get'>;
  readonly lines: Pick<ConversationLines, 'textFor'>;
  readonly conductor: Pick<Conductor, 'happen'>;
  /** What a task that has ended cost in US dollars. @throws {BrokerError} */
  readonly costOf: (taskId: string) => Promise<number>;
  readonly log: Logger;
}

const AT_ONCE = 16;
/** What of a message lies in the object store when it is large. */
const Body = Type.Pick(Message, ['content', 'payload']);
const UUID = new RegExp(UUID_PATTERN);

/** Takes what agents answer in conversations to the conversations: each API some of it, and again what one leaves undone. */
export class ConversationAnswers {
  readonly #options: AnswersOptions;
  readonly #work: Work;

  constructor(options: AnswersOptions) {
    const { broker, inboxPrefix } = options;
    this.#options = options;
    this.#work = new Work({
      broker,
      stream: STREAM.messages,
      consumer: CONSUMER.conversations,
      inboxPrefix,
      atOnce: AT_ONCE,
      handle: (delivery) => this.#handle(delivery),
    });
  }

  start(): void {
    this.#work.start();
  }

  /** Resolves when nothing is under way. Idempotent. */
  stop(): Promise<void> {
    return this.#work.stop();
  }

  #handle(delivery: Delivery): Promise<void> {
    const { log } = this.#options;
    return handled({
      delivery,
      handle: async () => {
        const { data } = (parseJson(delivery.data) ?? {}) as { data?: unknown };
        const message = check(Message, data);
        if (message.ok) await this.#hear(message.value);
        else log.error({ seq: delivery.seq }, 'an answer is not understood and left out');
      },
      says: {
        again: 'an answer could not be taken to its conversation; trying again',
        givenUp: 'an answer is given up: its turn ends when its time is over',
      },
      log,
    });
  }

  async #hear(message: Message): Promise<void> {
    const { records, conductor } = this.#options;
    const { conversation_id: id = '', owner, from, reply_to: to } = message;
    if (!UUID.test(id)) return;
    const record = await records.get([id]);
    if (record?.owner !== owner) return;
    if (record.abandoned.some(({ message_id, agent_id }) => message_id === to && agent_id === from))
      return void (await conductor.happen(id, {
        kind: 'late',
        messageId: to ?? '',
        costUsd: await this.#cost(message),
      }));
    const turn = record.floor;
    const speaker = record.speakers[turn?.speaker ?? -1];
    // Who answers must be who has the word, and no other owner's; an external agent need not say what it answers.
    if (turn === undefined || speaker?.agent_id !== from) return;
    if (to !== undefined && to !== turn.message_id) return;
    const happened = await this.#happened(message, id, turn.message_id, speaker?.part);
    await conductor.happen(id, happened);
  }

  async #cost({ task_id: taskId }: Message): Promise<number> {
    return taskId === undefined ? 0 : this.#options.costOf(taskId);
  }

  async #happened(message: Message, id: string, messageId: string, part?: string): Promise<Happening> {
    const { lines } = this.#options;
    const { task_id: taskId, error, signal } = message;
    const costUsd = await this.#cost(message);
    if (error !== undefined)
      return { kind: 'failure', messageId, error: `${error.code}: ${error.message}`, taskId, costUsd };
    const content = await this.#content(message);
    if (content === undefined)
      return { kind: 'failure', messageId, error: 'internal: the stored answer cannot be read', taskId, costUsd };
    const { text, names } = nextSignal(content);
    return {
      kind: 'answer',
      messageId,
      id: message.message_id,
      text: await lines.textFor(id, message.message_id, text),
      ends: signal === 'end',
      names: part === 'moderator' ? names : undefined,
      taskId,
      costUsd,
    };
  }

  /** The words; of one that has answered by a schema alone what that is. Undefined: what is stored is no answer. */
  async #content({ ref, ...small }: Message): Promise<string | undefined> {
    const whole = check(Body, ref === undefined ? small : parseJson(await this.#options.blobs.get(ref)));
    if (!whole.ok) return undefined;
    const { content = '', payload } = whole.value;
    const structured = payload?.['structured_output'];
    return content === '' && structured !== undefined ? JSON.stringify(structured) : content;
  }
}
