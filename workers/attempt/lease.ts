import type { Subscription } from '@nats-io/transport-node';
import type { Logger } from 'pino';
import { HEADER, SUBJECT } from '../../contracts/wire/names.js';
import type { Broker } from '../../src/broker/connect.js';
import type { Delivery } from '../../src/broker/consume.js';
import { isBrokerError } from '../../src/broker/errors.js';
import { lastState } from '../../src/broker/task-states.js';
import type { Clock } from '../../src/clock.js';
import { Stopped, type StopReason } from './stop.js';

export interface LeaseOptions {
  readonly broker: Broker;
  readonly delivery: Delivery;
  readonly leaseMs: number;
  readonly log: Logger;
}

/** What else an attempt must hold to go on: asked at each renewal. @throws {BrokerError} */
type HoldsToo = () => Promise<boolean>;

/** No timer of a process that is awake is so late. */
const LATE_MS = 500;

/**
 * The right of an attempt to go on: held while its own SPAWN_START is the task's last state, and for as long as the
 * broker has confirmed (docs/design/broker-protocol.md#lease-rule). Once lost it never comes back; `signal` says so, and why.
 */
export class Lease {
  readonly #options: LeaseOptions;
  readonly #lost = new AbortController();
  /** Ids of the state events that this attempt published itself. */
  readonly #own = new Set<string>();
  #taskId = '';
  #holdsToo: HoldsToo = () => Promise.resolve(true);
  #feed: Subscription | undefined;
  #forgetRenewal: (() => void) | undefined;
  #forgetDeadline: (() => void) | undefined;
  #confirmed: number;
  #deadline: number;
  /** When the renewal that is not confirmed yet was first asked for. */
  #asked: number | undefined;
  #stopped = false;
  #renewing: Promise<void> = Promise.resolve();

  /** Counts from the moment of the delivery. */
  constructor(options: LeaseOptions) {
    this.#options = options;
    this.#confirmed = options.delivery.receivedAt;
    this.#deadline = this.#confirmed + options.leaseMs;
    this.#armDeadline();
  }

  /** Aborts when the lease is lost, with a Stopped. */
  get signal(): AbortSignal {
    return this.#lost.signal;
  }

  /**
   * Also when its time is up and no timer has said so yet: what a process that stood still does first may be anything.
   * @throws {Stopped}
   */
  throwIfLost(): void {
    if (this.#clock.monotonic() >= this.#deadline) this.#lose(this.#whyOver());
    this.signal.throwIfAborted();
  }

  /** Renews and watches from now on. @param startId the attempt's SPAWN_START, which must be stored. */
  start(taskId: string, startId: string, holdsToo = this.#holdsToo): void {
    this.#holdsToo = holdsToo;
    this.#taskId = taskId;
    this.#own.add(startId);
    this.#feed = this.#options.broker.nc.subscribe(SUBJECT.taskStates(taskId), {
      callback: (error, message) => {
        // Without the feed, renewals find out a little later.
        if (error !== null) this.#options.log.warn({ err: error }, 'cannot watch the states of the task');
        else if (!this.#own.has(message.headers?.get(HEADER.msgId) ?? '')) this.#lose('fenced');
      },
    });
    this.#renewAfter(Math.max(0, this.#confirmed + this.#interval - this.#clock.monotonic()));
  }

  /** Asks for more time before the start. @throws {BrokerError} */
  async extend(): Promise<void> {
    const sentAt = this.#clock.monotonic();
    await this.#options.delivery.renew();
    this.#extended(sentAt);
  }

  /** Says that a state event of this id, about to be published, is the attempt's own. */
  own(eventId: string): void {
    this.#own.add(eventId);
  }

  /** Renews no more; resolves when nothing is under way. The broker's lease runs on for its time. Idempotent. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#forgetRenewal?.();
    this.#forgetDeadline?.();
    this.#feed?.unsubscribe();
    await this.#renewing;
  }

  get #clock(): Clock {
    return this.#options.broker.clock;
  }

  get #interval(): number {
    return this.#options.leaseMs / 3;
  }

  #renewAfter(ms: number): void {
    if (this.#stopped || this.signal.aborted) return;
    this.#forgetRenewal = this.#clock.after(ms, () => {
      this.#renewing = this.#renew();
    });
  }

  async #renew(): Promise<void> {
    const { broker, delivery, log } = this.#options;
    const sentAt = this.#clock.monotonic();
    this.#asked ??= sentAt;
    try {
      // Read first: a renewal by one who was taken over prolongs the successor's lease.
      if (!this.#own.has((await lastState(broker, this.#taskId)).id)) return this.#lose('fenced');
      if (!(await this.#holdsToo())) return this.#lose('fenced');
      await delivery.renew();
    } catch (error) {
      if (!isBrokerError(error)) throw error;
      log.warn(
        { err: error, left_ms: Math.round(this.#deadline - this.#clock.monotonic()) },
        'the lease was not renewed',
      );
      return this.#renewAfter(Math.min(500, this.#interval / 2));
    }
    this.#asked = undefined;
    this.#extended(sentAt);
    this.#renewAfter(this.#interval - (this.#clock.monotonic() - sentAt));
  }

  #extended(sentAt: number): void {
    // From the renewal before: a kill of the broker may take this one back.
    this.#deadline = this.#confirmed + this.#options.leaseMs;
    this.#confirmed = sentAt;
    this.#armDeadline();
  }

  #armDeadline(): void {
    this.#forgetDeadline?.();
    if (this.#stopped) return;
    this.#forgetDeadline = this.#clock.after(this.#deadline - this.#clock.monotonic(), () =>
      this.#lose(this.#whyOver()),
    );
  }

  /** A process that stood still has itself to blame, and its clock shows it. */
  #whyOver(): StopReason {
    const onTime = this.#clock.monotonic() - this.#deadline < LATE_MS;
    return onTime && this.#asked !== undefined ? 'broker_lost' : 'lease_lost';
  }

  #lose(reason: StopReason): void {
    if (this.#stopped || this.signal.aborted) return;
    this.#options.log.warn({ reason }, 'the attempt has lost its lease');
    this.#forgetRenewal?.();
    this.#lost.abort(new Stopped(reason));
  }
}
