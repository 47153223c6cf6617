import type { Logger } from 'pino';
import type { Agent } from '../../contracts/agents/agents.js';
import type { InboxMessage } from '../../contracts/agents/messages.js';
import type { DetachReason } from '../../contracts/api/ws.js';
import type { Agents } from './agents.js';
import type { Held } from './presence.js';

export interface AttachmentSink {
  push(message: InboxMessage): void;
  /** What to wait for before more is pushed; undefined: nothing. */
  ready(): Promise<void> | undefined;
  /** Another reads the inbox now, or the agent is gone: nothing more is pushed. */
  lost(reason: DetachReason): void;
  /** It could not be read for now, and is tried again. */
  failed(error: unknown): void;
}

export interface AttachmentOptions {
  readonly agents: Pick<Agents, 'inboxes' | 'presence' | 'positions'>;
  readonly agent: Agent;
  /** So many messages may be pushed that are not acknowledged. */
  readonly window: number;
  readonly sink: AttachmentSink;
  readonly log: Logger;
}

/** A word that something came can get lost with the connection to the broker. */
const LOOK_MS = 5_000;
const AGAIN_MS = 1_000;

/**
 * One connection that reads an agent's inbox: what comes is pushed, in order, as long as the client acknowledges. What was pushed and not
 * acknowledged is pushed again to the next one.
 */
export class Attachment {
  readonly #options: AttachmentOptions;
  readonly #watch: ReturnType<Agents['inboxes']['watch']>;
  /** Of those pushed and not acknowledged, in order. */
  #unacknowledged: number[] = [];
  #pushed = 0;
  #held: Held | undefined;
  /** Something was acknowledged since it was last looked. */
  #acknowledged = false;
  #wake: () => void = () => undefined;
  #running: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: AttachmentOptions) {
    this.#options = options;
    this.#watch = options.agents.inboxes.watch(options.agent.agent_id);
  }

  /** Takes the inbox over from whoever reads it. @throws {BrokerError} */
  async hold(): Promise<void> {
    const { agents, agent, sink } = this.#options;
    try {
      this.#held = await agents.presence.hold(agent, (reason) => sink.lost(reason));
    } catch (error) {
      this.#watch.stop();
      throw error;
    }
  }

  /** Pushes from now on. */
  start(): void {
    this.#running = this.#run();
  }

  /** @returns where the inbox stands now. @throws {ApiError | BrokerError} */
  async ack(seq: number): Promise<number> {
    const { agents, agent } = this.#options;
    const { now } = await agents.inboxes.take(agent, seq);
    this.#forget(now);
    this.#acknowledged = true;
    this.#wake();
    return now;
  }

  /** Resolves when nothing more is pushed, and it is said that the agent is not connected. Never rejects, idempotent. */
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
    // What was accepted before it attached comes first.
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
        log.warn({ err: error, agent_id: agent.agent_id }, 'an inbox cannot be read; trying again');
        sink.failed(error);
        await this.#until(undefined, AGAIN_MS);
      }
    }
  }

  /** @returns whether there may be more at once. @throws {BrokerError} */
  async #pushSome(): Promise<boolean> {
    const { agents, agent, window, sink } = this.#options;
    // It may have been acknowledged elsewhere.
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

  /** Resolves when something came, was acknowledged, the time is up or it is stopped. */
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
