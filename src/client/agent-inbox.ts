import type { InboxAcked, InboxMessage, MessageAccepted, MessageRequest } from '../../contracts/agents/messages.js';
import type { Page } from '../../contracts/wire/page.js';
import { isPassing, pause, pauseBefore } from './backoff.js';
import { Messages } from './resources/messages.js';
import type { CallOptions, Transport } from './transport.js';
import { defined } from '../defined.js';

export interface InboxOptions extends CallOptions {
  /** If true, call `ack` yourself. Default: iteration acknowledges a message when you request the next one. */
  readonly manual?: boolean | undefined;
}

/** Seconds that one request waits for a message. */
const WAIT_S = 25;

/**
 * An agent's inbox. `for await` yields the unacknowledged messages in order, then new ones as they arrive, until `signal` aborts. Meanwhile the
 * agent is shown as connected. After a lost connection, the iteration retries until KSI answers again. The next reader gets the messages that
 * were not acknowledged, which includes the last one if you leave the loop with `break`.
 */
export class AgentInbox implements AsyncIterable<InboxMessage> {
  readonly id: string;
  readonly #transport: Transport;
  readonly #options: InboxOptions;
  /** Whether a request has succeeded. The first one is not retried, so that a wrong URL or id fails at once. */
  #answered = false;

  constructor(transport: Transport, id: string, options: InboxOptions = {}) {
    this.#transport = transport;
    this.id = id;
    this.#options = options;
  }

  /** Reads the first page of unacknowledged messages. Does not wait for one. @throws {KsiError} `not_found` */
  async read(): Promise<InboxMessage[]> {
    const { signal } = this.#options;
    return (await this.#transport.call('inbox', { id: this.id }, { signal })).items;
  }

  /** Acknowledges this message and all earlier ones. They leave the inbox, and their senders can see the receipt. @throws {KsiError} `not_found` */
  ack({ seq }: Pick<InboxMessage, 'seq'>): Promise<InboxAcked> {
    return this.#retrying(() =>
      this.#transport.call('inbox_ack', { id: this.id, seq }, { signal: this.#options.signal }),
    );
  }

  /** Sends a message from this agent. @throws {KsiError} `not_found`, `no_suitable_agent`, `no_available_agent` */
  send(message: Omit<MessageRequest, 'from'>): Promise<MessageAccepted> {
    return new Messages(this.#transport).send({ ...message, from: this.id }, this.#options);
  }

  /** Answers a message: sends to its sender, in the same conversation. A person has no inbox and gets the answer as an event. */
  reply(to: InboxMessage, answer: Pick<MessageRequest, 'content' | 'payload' | 'type'>): Promise<MessageAccepted> {
    const { from, conversation_id, message_id: reply_to } = to;
    return this.send(defined({ ...answer, to: from, conversation_id, reply_to }));
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<InboxMessage> {
    const { signal, manual = false } = this.#options;
    const stopped = (): boolean => signal?.aborted === true;
    let after: number | undefined;
    while (!stopped()) {
      const unlessStopped = (error: unknown): undefined => {
        if (!stopped()) throw error;
      };
      const page = await this.#retrying(() => this.#next(after)).catch(unlessStopped);
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

  /** Repeats a request until it succeeds, if an earlier one has succeeded. @throws {KsiError} an error that a retry cannot fix */
  async #retrying<T>(request: () => Promise<T>): Promise<T> {
    const { signal, onRetry } = this.#options;
    for (let failed = 0; ; failed++) {
      try {
        const answer = await request();
        this.#answered = true;
        return answer;
      } catch (error) {
        if (!isPassing(error) || !this.#answered || signal?.aborted === true) throw error;
        onRetry?.(error);
        await pause(pauseBefore(failed), signal);
      }
    }
  }
}
