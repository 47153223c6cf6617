import type { Logger } from 'pino';
import type { Agent } from '../../contracts/agents/agents.js';
import type { InboxMessage } from '../../contracts/agents/messages.js';
import type { DetachReason } from '../../contracts/api/ws.js';
import type { Agents } from './agents.js';
import type { HeldPresence } from './presence.js';

export interface InboxSink {
  push(message: InboxMessage): void;
  /** Backpressure: resolves when more may be pushed. Undefined: now. */
  ready(): Promise<void> | undefined;
  /** Another connection took the inbox over, or the agent was deleted. No message is pushed after this. */
  lost(reason: DetachReason): void;
  /** The inbox could not be read. A retry follows. */
  failed(error: unknown): void;
}

export interface InboxSubscriptionOptions {
  readonly agents: Pick<Agents, 'inboxes' | 'presence' | 'positions'>;
  readonly agent: Agent;
  /** The maximum number of pushed messages without an acknowledgement. */
  readonly window: number;
  readonly sink: InboxSink;
  readonly log: Logger;
}

/** A notification can get lost when the connection to the broker breaks, so the inbox is also read at this interval. */
const LOOK_MS = 5_000;
const AGAIN_MS = 1_000;

/**
 * Pushes an agent's messages to one connection, in order, while the client acknowledges them. Unacknowledged messages are pushed again to
 * the next connection.
 */
export class InboxSubscription {
  readonly #options: InboxSubscriptionOptions;
  readonly #watch: ReturnType<Agents['inboxes']['watch']>;
  /** Sequences, ascending. */
  #unacknowledged: number[] = [];
  #pushed = 0;
  #held: HeldPresence | undefined;
  /** The client has acknowledged since the last read. */
  #acknowledged = false;
  #wake: () => void = () => undefined;
  #running: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: InboxSubscriptionOptions) {
    this.#options = options;
    this.#watch = options.agents.inboxes.watch(options.agent.agent_id);
  }

  /** Takes the inbox over from another connection. @throws {BrokerError} */
  async hold(): Promise<void> {
    const { agents, agent, sink } = this.#options;
    try {
      this.#held = await agents.presence.hold(agent, (reason) => sink.lost(reason));
    } catch (error) {
      this.#watch.stop();
      throw error;
    }
  }

  start(): void {
    this.#running = this.#run();
  }

  /** @returns the inbox cursor. @throws {ApiError | BrokerError} */
  async ack(seq: number): Promise<number> {
    const { agents, agent } = this.#options;
    const { now } = await agents.inboxes.take(agent, seq);
    this.#forget(now);
    this.#acknowledged = true;
    this.#wake();
    return now;
  }

  /** Resolves when no more messages are pushed and the agent's presence entry is deleted. Never rejects, idempotent. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#watch.stop();
    this.#wake();
    await this.#running;
    await this.#held?.release();
    this.#held = undefined;
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    const { agents, agent, sink, log } = this.#options;
    // Unacknowledged messages from before the subscription come first.
    let begun = false;
    while (!this.#stopped) {
      const arrived = this.#watch.next();
      try {
        if (!begun) this.#pushed = await agents.positions.of(agent.agent_id);
        begun = true;
        this.#acknowledged = false;
        const more = await this.#pushSome();
        if (!more && !this.#acknowledged) await this.#until(arrived, LOOK_MS);
      } catch (error) {
        log.warn({ err: error, agent_id: agent.agent_id }, 'could not read an inbox; retrying');
        sink.failed(error);
        await this.#until(undefined, AGAIN_MS);
      }
    }
  }

  /** @returns whether to read again at once. @throws {BrokerError} */
  async #pushSome(): Promise<boolean> {
    const { agents, agent, window, sink } = this.#options;
    // The client may have acknowledged through another connection.
    if (this.#unacknowledged.length >= window) this.#forget(await agents.positions.of(agent.agent_id));
    const room = window - this.#unacknowledged.length;
    if (room <= 0) return false;
    const { messages } = await agents.inboxes.readAfter(agent, room, this.#pushed);
    for (const message of messages) {
      await sink.ready();
      if (this.#stopped) return false;
      this.#pushed = message.seq;
      this.#unacknowledged.push(message.seq);
      sink.push(message);
    }
    return messages.length > 0;
  }

  #forget(upTo: number): void {
    this.#unacknowledged = this.#unacknowledged.filter((seq) => seq > upTo);
  }

  /** Resolves on an arrival, an acknowledgement, the timeout, or stop(). */
  #until(arrived: Promise<void> | undefined, ms: number): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    const woken = new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    return arrived === undefined ? woken : Promise.race([arrived, woken]).then(() => this.#wake());
  }
}
