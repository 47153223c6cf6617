import { createInbox, headers as newHeaders, type Msg, type NatsConnection } from '@nats-io/transport-node';
import type { Broker } from './connect.js';
import { BrokerError } from './errors.js';

/** A pulled message. This process holds it until it is acknowledged or nak'ed, or its lease expires. */
export interface Delivery {
  readonly subject: string;
  /** The subject that acknowledges, renews or naks this one delivery. */
  readonly reply: string;
  readonly data: Uint8Array;
  /** When it arrived, by the broker's `clock.monotonic()`. */
  readonly receivedAt: number;
  /** The stream sequence. */
  readonly seq: number;
  /** The broker's count of deliveries, including this one. The count may go back when the broker is killed. */
  readonly count: number;
  header(name: string): string;
  /** Acknowledges, and resolves when the broker has confirmed: a killed broker loses unconfirmed acks (docs/design/facts.md#plain-ack-lost). @throws {BrokerError} */
  ack(): Promise<void>;
  /** Requests a new lease. The answer proves only that the broker is reachable (docs/design/broker-protocol.md#renewal-proves-nothing). @throws {BrokerError} */
  renew(): Promise<void>;
  /** Naks the message: it is redelivered after `delayMs`. Default: at once. */
  nak(delayMs?: number): void;
}

/**
 * How a pull ended: with a message, with the answer that there is none, or unanswered. A pull is unanswered if the consumer does not
 * exist, the broker refused or did not answer, or `reset` was called.
 */
export type PullEnd = 'message' | 'empty' | 'unavailable';

const CONFIRM_TIMEOUT_MS = 1_500;
/** Status codes that end a pull. */
const STATUS: ReadonlyMap<number, PullEnd> = new Map([
  [404, 'empty'], // no messages
  [408, 'empty'], // the pull expired
  [409, 'unavailable'], // consumer deleted, too many pulls, a new leader (docs/design/facts.md#pull-ends-with-leader) …
  [503, 'unavailable'], // no responders: no such consumer or stream, or no leader
]);

/**
 * Pulls single messages from one consumer, one pull at a time. It uses its own inbox, because `request` drops the answer to `no_wait`
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
   * @param onDelivery called for every message, even if its pull was abandoned before.
   * @param onEnd called when a parked pull ends, and before `onDelivery` if it ends with a message.
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

  /** A pull is in flight. */
  get busy(): boolean {
    return this.#current !== undefined;
  }

  /** Pulls a message if there is one. Resolves after `onDelivery` was called with it. */
  tryNow(): Promise<PullEnd> {
    return new Promise((resolve) => this.#pull({ batch: 1, no_wait: true }, CONFIRM_TIMEOUT_MS, resolve));
  }

  /** Waits for a message. `onEnd` is called about 2 s after `expiresMs` at the latest. */
  park(expiresMs: number): void {
    // The margin lets the broker report the expiry first.
    this.#pull({ batch: 1, expires: expiresMs * 1_000_000 }, expiresMs + 2_000, this.#onEnd);
  }

  /** Abandons the pull: after a reconnect the broker has lost it. */
  reset(): void {
    this.#settle('unavailable');
  }

  /** Ends the pull. A message already in transit goes to `onDelivery` before this resolves. Idempotent. */
  stop(): Promise<void> {
    this.#stopped ??= this.#drain();
    return this.#stopped;
  }

  async #drain(): Promise<void> {
    // The broker drops a pull whose inbox has no subscriber.
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
      // The connection is closed. The timer ends the pull: ending it now would make a caller that pulls again spin.
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
      // A status arrives on the pull's reply subject; a message arrives on its own subject.
      if (msg.subject === this.#current?.reply) this.#settle(end);
      return;
    }
    this.#settle('message');
    this.#onDelivery(new PulledMessage(this.#broker, msg));
  }
}

/**
 * Parses `$JS.ACK.<stream>.<consumer>.<count>.<seq>.<consumer seq>.<time>.<pending>`, or the newer form with `<domain>.<account>` after
 * ACK and optional tokens at the end. nats.js does not export its parser (docs/design/facts.md#ack-subjects).
 */
function deliveryOf(reply: string): { seq: number; count: number } {
  const tokens = reply.split('.');
  const at = tokens.length === 9 ? 4 : 6;
  return { count: Number(tokens[at]), seq: Number(tokens[at + 1]) };
}

/** Naks a delivery by its reply subject. Never pass a stale one: that would return a run whose worker is alive. */
export function nakByReply(nc: NatsConnection, reply: string, delayMs?: number): void {
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

  nak(delayMs?: number): void {
    nakByReply(this.#nc, this.reply, delayMs);
  }

  async #confirm(body: string, what: string): Promise<void> {
    try {
      await this.#nc.request(this.reply, body, { timeout: CONFIRM_TIMEOUT_MS });
    } catch (cause) {
      throw new BrokerError('unavailable', `The broker did not confirm the ${what}`, { cause });
    }
  }
}
