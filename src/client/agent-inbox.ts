import type { InboxAcked, InboxMessage, MessageAccepted, MessageRequest } from '../../contracts/agents/messages.js';
import type { Page } from '../../contracts/wire/page.js';
import { isPassing, pause, pauseBefore } from './backoff.js';
import { KsiError, KsiUnreachableError } from './errors.js';
import { Messages } from './resources/messages.js';
import type { CallOptions, Transport } from './transport.js';
import { defined } from '../defined.js';

export interface InboxOptions extends CallOptions {
  /** Leave it to the reader to acknowledge (`ack`). Default: a message is, when the next one is asked for. */
  readonly manual?: boolean | undefined;
}

/** How long one request waits for a message. */
const WAIT_S = 25;

/**
 * An agent's inbox. Iterated over (`for await`), it gives what the agent has not taken, in order, then what comes, until `signal` aborts; the
 * agent is connected meanwhile. A broken connection is waited for. A message that is not acknowledged comes again to the next reader: the last
 * one too, when the loop is left in its body.
 */
export class AgentInbox implements AsyncIterable<InboxMessage> {
  readonly id: string;
  readonly #transport: Transport;
  readonly #options: InboxOptions;

  constructor(transport: Transport, id: string, options: InboxOptions = {}) {
    this.#transport = transport;
    this.id = id;
    this.#options = options;
  }

  /** The first page of the messages that the agent has not taken. Does not wait for one. @throws {KsiError} `not_found` */
  async read(): Promise<InboxMessage[]> {
    const { signal } = this.#options;
    return (await this.#transport.call('inbox', { id: this.id }, { signal })).items;
  }

  /** This message and all before it are taken: they are never given again, and their senders see a receipt. */
  ack({ seq }: Pick<InboxMessage, 'seq'>): Promise<InboxAcked> {
    return this.#lasting(() =>
      this.#transport.call('inbox_ack', { id: this.id, seq }, { signal: this.#options.signal }),
    );
  }

  /** Says something as the agent. */
  send(message: Omit<MessageRequest, 'from'>): Promise<MessageAccepted> {
    return new Messages(this.#transport).send({ ...message, from: this.id }, this.#options);
  }

  /** Answers a message: to its sender, in its conversation. To a person, who has no inbox, the answer is an event. */
  reply(to: InboxMessage, answer: Pick<MessageRequest, 'content' | 'payload' | 'type'>): Promise<MessageAccepted> {
    return this.send(
      defined({
        ...answer,
        to: to.from,
        conversation_id: to.conversation_id,
        reply_to: to.message_id,
      }),
    );
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<InboxMessage> {
    const { signal, manual = false } = this.#options;
    const stopped = (): boolean => signal?.aborted === true;
    let after: number | undefined;
    while (!stopped()) {
      const unlessStopped = (error: unknown): undefined => {
        if (!stopped()) throw error;
      };
      const page = await this.#lasting(() => this.#next(after)).catch(unlessStopped);
      for (const message of page?.items ?? []) {
        after = message.seq;
        yield message;
        if (stopped()) return;
        if (!manual) await this.ack(message).catch(unlessStopped);
      }
    }
  }

  #next(after: number | undefined): Promise<Page<InboxMessage>> {
    const request = defined({ id: this.id, wait: WAIT_S, after });
    return this.#transport.call('inbox', request, { signal: this.#options.signal });
  }

  /** Again for as long as it takes, once it was answered. @throws {KsiError} what another try doesn't change. */
  async #lasting<T>(request: () => Promise<T>): Promise<T> {
    const { signal, onRetry } = this.#options;
    for (let failed = 0; ; failed++) {
      try {
        const done = await request();
        this.#answered = true;
        return done;
      } catch (error) {
        const passes = error instanceof KsiUnreachableError || (error instanceof KsiError && isPassing(error));
        if (!passes || !this.#answered || signal?.aborted === true) throw error;
        onRetry?.(error);
        await pause(pauseBefore(failed), signal);
      }
    }
  }

  /** The first request must succeed; later ones are worth waiting for. */
  #answered = false;
}
