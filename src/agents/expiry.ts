import type { Logger } from 'pino';
import type { StoredEvent } from '../../contracts/events/events.js';
import { NOBODY, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { MESSAGES_MAX_AGE_S } from '../../contracts/broker/topology.js';
import type { Broker } from '../broker/connect.js';
import { isBrokerError } from '../broker/errors.js';
import { eventPublication, newEvent } from '../broker/events.js';
import { readStream } from '../broker/replay.js';
import { parseJson } from '../json.js';
import type { InboxCursors } from './inbox-cursors.js';
import type { AgentRegistry } from './registry.js';

export interface MessageExpiryOptions {
  readonly broker: Broker;
  readonly registry: Pick<AgentRegistry, 'find'>;
  readonly positions: Pick<InboxCursors, 'of' | 'move'>;
  readonly log: Logger;
  /** Report messages older than this, in ms. Default: one hour less than the stream's max_age. */
  readonly ageMs?: number;
}

const INTERVAL_MS = 600_000;
const HOUR_MS = 3_600_000;
/** The key of the sweep's own cursor, in the bucket of inbox cursors. It is not a valid agent id. */
const PUBLISHED = '_told';

/** Publishes AGENT_MESSAGE_EXPIRED for unacknowledged messages shortly before the broker deletes them by age. */
export class MessageExpiry {
  readonly #options: MessageExpiryOptions;
  readonly #stopping = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #sweeping: Promise<void> | undefined;

  constructor(options: MessageExpiryOptions) {
    this.#options = options;
  }

  start(): void {
    const { broker, log } = this.#options;
    this.#timer = setInterval(() => {
      if (broker.connected())
        this.#sweeping ??= this.sweep()
          .then(() => undefined)
          .catch((error: unknown) =>
            log.warn({ err: error }, 'could not check for expiring messages; retrying in 10 min'),
          )
          .finally(() => (this.#sweeping = undefined));
    }, INTERVAL_MS);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#stopping.abort();
    await this.#sweeping;
  }

  /** @returns the number of messages that were reported. @throws {BrokerError} */
  async sweep(): Promise<number> {
    const { broker, positions, ageMs = MESSAGES_MAX_AGE_S * 1_000 - HOUR_MS } = this.#options;
    const before = broker.clock.now() - ageMs;
    const known = new Map<string, number>();
    let published = 0;
    let last = 0;
    const from = await this.#positionOf(PUBLISHED);
    const all = readStream(broker, STREAM.messages, SUBJECT.messagesAll, from, Number.MAX_SAFE_INTEGER);
    for await (const stored of all) {
      const { seq, subject, data } = stored;
      if (stored.time() > before || this.#stopping.signal.aborted) break;
      last = seq;
      const id = subject.slice(subject.lastIndexOf('.') + 1);
      if (id === NOBODY) continue;
      const position = known.get(id) ?? (await this.#positionOf(id));
      known.set(id, position);
      if (seq > position && (await this.#publish(id, seq, data))) published += 1;
    }
    if (last > 0) await positions.move(PUBLISHED, last);
    return published;
  }

  /** Treats an unreadable cursor as 0: a second report of a message is better than none. */
  async #positionOf(id: string): Promise<number> {
    try {
      return await this.#options.positions.of(id);
    } catch (error) {
      if (!isBrokerError(error, 'unreadable')) throw error;
      this.#options.log.error(
        { err: error, agent_id: id },
        'the inbox cursor of an agent is unreadable; treating it as 0',
      );
      return 0;
    }
  }

  async #publish(agentId: string, seq: number, body: Uint8Array): Promise<boolean> {
    const { broker, registry } = this.#options;
    const { data } = (parseJson(body) ?? {}) as Partial<StoredEvent<'AGENT_MESSAGE'>>;
    const agent = registry.find(agentId)?.value;
    if (agent === undefined || data?.owner !== agent.owner) return false;
    const about = { agent_id: agentId, owner: agent.owner, seq, message_id: data.message_id };
    const event = newEvent(broker.clock, 'AGENT_MESSAGE_EXPIRED', about);
    const publication = eventPublication(event, SUBJECT.agentEvent(agentId, 'expired'));
    await broker.publisher.publish({ ...publication, msgId: `expired-${seq}` });
    return true;
  }
}
