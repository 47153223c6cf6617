import { createInbox, headers as newHeaders, type Msg, type NatsConnection } from '@nats-io/transport-node';
import type { Broker } from './connect.js';
import { BrokerError } from './errors.js';

/** A message that a pull brought: held by this process until it is acknowledged, given back or its lease runs out. */
export interface Delivery {
  readonly subject: string;
  /** Where it is acknowledged, renewed and given back; stands for this one delivery. */
  readonly reply: string;
  readonly data: Uint8Array;
  /** When it came here, by `clock.monotonic()` of its Broker. */
  readonly receivedAt: number;
  /** Its sequence in the stream. */
  readonly seq: number;
  /** The broker's count of its deliveries, this one included. A kill of the broker may set it back. */
  readonly count: number;
  header(name: string): string;
  /** Takes it off the queue; resolves when the broker has confirmed. A kill of the broker loses plain acks (docs/design/facts.md#plain-ack-lost). @throws {BrokerError} */
  ack(): Promise<void>;
  /** Asks for a new lease. An answer proves only that the broker is reachable (docs/design/broker-protocol.md#renewal-proves-nothing). @throws {BrokerError} */
  renew(): Promise<void>;
  /** Gives it back, to be delivered again after `delayMs`. */
  giveBack(delayMs?: number): void;
}

/**
 * How a pull ended: with a message; without one, since none is there; or without an answer to that, since the
 * consumer is not there (yet), the broker refused or didn't answer, or `reset` was called.
 */
export type PullEnd = 'message' | 'empty' | 'unavailable';

const CONFIRM_TIMEOUT_MS = 1_500;
/** Statuses that a pull may end with, and whether the consumer has answered by it. */
const STATUS: ReadonlyMap<number, PullEnd> = new Map([
  [404, 'empty'], // no messages
  [408, 'empty'], // the time is up
  [409, 'unavailable'], // consumer deleted, too many pulls, a new leader (docs/design/facts.md#pull-ends-with-leader) …
  [503, 'unavailable'], // nobody listens: no such consumer or stream, or no leader
]);

/**
 * Pulls single messages from one consumer, one pull at a time, over an inbox of its own
 * (docs/design/facts.md#request-drops-no-wait).
 */
export class Puller {
  readonly #broker: Broker;
  readonly #subject: string;
  readonly #inbox: string;
  readonly #onDelivery: (delivery: Delivery) => void;
  readonly #onEnd: (end: PullEnd) => void;
  readonly #subscription: ReturnType<NatsConnection['subscribe']>;
  #pulls = 0;
  #stopped: Promise<void> | undefined;
  #current: { reply: string; forgetTimeout: () => void; settle: (end: PullEnd) => void } | undefined;

  /**
   * @param onDelivery called for every message, also one that comes after its pull was given up.
   * @param onEnd called when a parked pull has ended, before `onDelivery` if it brought a message.
   */
  constructor(options: {
    broker: Broker;
    stream: string;
    consumer: string;
    inboxPrefix?: string | undefined;
    onDelivery: (delivery: Delivery) => void;
    onEnd: (end: PullEnd) => void;
  }) {
    this.#broker = options.broker;
    this.#subject = `$JS.API.CONSUMER.MSG.NEXT.${options.stream}.${options.consumer}`;
    this.#inbox = createInbox(options.inboxPrefix);
    this.#onDelivery = options.onDelivery;
    this.#onEnd = options.onEnd;
    this.#subscription = options.broker.nc.subscribe(`${this.#inbox}.*`, {
      callback: (error, msg) => this.#onMessage(error, msg),
    });
  }

  /** A pull is under way. */
  get busy(): boolean {
    return this.#current !== undefined;
  }

  /** Takes a message if one is there. Resolves after `onDelivery` was called with it. */
  tryNow(): Promise<PullEnd> {
    return new Promise((resolve) => this.#pull({ batch: 1, no_wait: true }, CONFIRM_TIMEOUT_MS, resolve));
  }

  /** Waits for a message; `onEnd` is called soon after `expiresMs` at the latest. */
  park(expiresMs: number): void {
    // The margin is for the broker's own word that the time is up.
    this.#pull({ batch: 1, expires: expiresMs * 1_000_000 }, expiresMs + 2_000, this.#onEnd);
  }

  /** Forgets the pull under way: after a reconnect the broker knows nothing of it. */
  reset(): void {
    this.#settle('unavailable');
  }

  /** Ends the pull; a message that is on its way already still goes to `onDelivery` before this resolves. Idempotent. */
  stop(): Promise<void> {
    this.#stopped ??= this.#drain();
    return this.#stopped;
  }

  async #drain(): Promise<void> {
    // The broker drops a pull that nobody listens to any more.
    if (!this.#subscription.isClosed()) await this.#subscription.drain();
    this.#settle('unavailable');
  }

  #pull(request: object, timeoutMs: number, settle: (end: PullEnd) => void): void {
    if (this.busy) throw new Error('a pull is under way');
    const reply = `${this.#inbox}.${(this.#pulls++).toString(36)}`;
    const forgetTimeout = this.#broker.clock.after(timeoutMs, () => this.#settle('unavailable'));
    this.#current = { reply, forgetTimeout, settle };
    try {
      this.#broker.nc.publish(this.#subject, JSON.stringify(request), { reply });
    } catch {
      // The connection is closed: nothing comes, and the timer says so. At once would make an owner that pulls again spin.
    }
  }

  #settle(end: PullEnd): void {
    const current = this.#current;
    if (current === undefined) return;
    this.#current = undefined;
    current.forgetTimeout();
    current.settle(end);
  }

  #onMessage(error: Error | null, msg: Msg): void {
    if (error !== null) return this.#settle('unavailable');
    const end = msg.data.length === 0 ? STATUS.get(msg.headers?.code ?? 0) : undefined;
    if (end !== undefined) {
      // A status comes on the pull's own reply subject, a message on the one it was stored under.
      if (msg.subject === this.#current?.reply) this.#settle(end);
      return;
    }
    this.#settle('message');
    this.#onDelivery(new PulledMessage(this.#broker, msg));
  }
}

/**
 * `$JS.ACK.<stream>.<consumer>.<count>.<seq>.<consumer seq>.<time>.<pending>`, or newer, with `<domain>.<account>` after
 * ACK and perhaps more at the end. nats.js does not export its parser (docs/design/facts.md#ack-subjects).
 */
function deliveryOf(reply: string): { seq: number; count: number } {
  const tokens = reply.split('.');
  const at = tokens.length === 9 ? 4 : 6;
  return { count: Number(tokens[at]), seq: Number(tokens[at + 1]) };
}

/** Gives a delivery back by its reply subject. A stale one would be given back too, and with it a run that is alive. */
export function giveBackBy(nc: NatsConnection, reply: string, delayMs?: number): void {
  nc.publish(reply, delayMs === undefined ? '-NAK' : `-NAK {"delay":${Math.round(delayMs * 1_000_000)}}`);
}

class PulledMessage implements Delivery {
  readonly #nc: NatsConnection;
  readonly #msg: Msg;
  readonly reply: string;
  readonly receivedAt: number;
  readonly seq: number;
  readonly count: number;

  constructor({ nc, clock }: Broker, msg: Msg) {
    this.#nc = nc;
    this.receivedAt = clock.monotonic();
    this.#msg = msg;
    this.reply = msg.reply ?? '';
    ({ seq: this.seq, count: this.count } = deliveryOf(this.reply));
  }

  get subject(): string {
    return this.#msg.subject;
  }

  get data(): Uint8Array {
    return this.#msg.data;
  }

  header(name: string): string {
    return (this.#msg.headers ?? newHeaders()).get(name);
  }

  ack(): Promise<void> {
    return this.#confirm('+ACK', 'acknowledgement');
  }

  renew(): Promise<void> {
    return this.#confirm('+WPI', 'renewal');
  }

  giveBack(delayMs?: number): void {
    giveBackBy(this.#nc, this.reply, delayMs);
  }

  async #confirm(body: string, what: string): Promise<void> {
    try {
      await this.#nc.request(this.reply, body, { timeout: CONFIRM_TIMEOUT_MS });
    } catch (cause) {
      throw new BrokerError('unavailable', `The broker did not confirm the ${what}`, { cause });
    }
  }
}
