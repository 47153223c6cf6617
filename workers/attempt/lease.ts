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

/** Checks what else an attempt must hold to continue. Called at each renewal. @throws {BrokerError} */
type HoldsToo = () => Promise<boolean>;

/** A timer that is later than this means that the process was suspended. */
const LATE_MS = 500;

/**
 * The right of an attempt to continue. The attempt holds it while its own SPAWN_START is the task's last state and the broker's last
 * confirmation has not expired (docs/design/broker-protocol.md#lease-rule). A lost lease never comes back. `signal` aborts with the reason.
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
  /** When the unconfirmed renewal was first requested. */
  #requestedAt: number | undefined;
  #stopped = false;
  #renewing: Promise<void> = Promise.resolve();

  /** Starts at the time of the delivery. */
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
   * Also checks the time: a process that was suspended may run any code before its timers.
   * @throws {Stopped}
   */
  throwIfLost(): void {
    if (this.#clock.monotonic() >= this.#deadline) this.#lose(this.#whyOver());
    this.signal.throwIfAborted();
  }

  /** Starts renewing the lease and watching the task's states. @param startId the attempt's SPAWN_START, which must be stored. */
  start(taskId: string, startId: string, holdsToo = this.#holdsToo): void {
    this.#holdsToo = holdsToo;
    this.#taskId = taskId;
    this.#own.add(startId);
    this.#feed = this.#options.broker.nc.subscribe(SUBJECT.taskStates(taskId), {
      callback: (error, message) => {
        // Without the watch, renewals detect a fence a little later.
        if (error !== null) this.#options.log.warn({ err: error }, 'cannot watch the states of the task');
        else if (!this.#own.has(message.headers?.get(HEADER.msgId) ?? '')) this.#lose('fenced');
      },
    });
    this.#renewAfter(Math.max(0, this.#confirmed + this.#interval - this.#clock.monotonic()));
  }

  /** Extends the lease once, before the attempt starts. @throws {BrokerError} */
  async extend(): Promise<void> {
    const sentAt = this.#clock.monotonic();
    await this.#options.delivery.renew();
    this.#extended(sentAt);
  }

  /** Registers a state event as the attempt's own. Call it before publishing the event. */
  own(eventId: string): void {
    this.#own.add(eventId);
  }

  /** Stops renewing. Resolves when no renewal is in progress. The broker's lease expires later. Idempotent. */
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
    this.#requestedAt ??= sentAt;
    try {
      // Read first: a renewal after a takeover would extend the successor's lease.
      if (!this.#own.has((await lastState(broker, this.#taskId)).id)) return this.#lose('fenced');
      if (!(await this.#holdsToo())) return this.#lose('fenced');
      await delivery.renew();
    } catch (error) {
      if (!isBrokerError(error)) throw error;
      log.warn(
        { err: error, left_ms: Math.round(this.#deadline - this.#clock.monotonic()) },
        'could not renew the lease',
      );
      return this.#renewAfter(Math.min(500, this.#interval / 2));
    }
    this.#requestedAt = undefined;
    this.#extended(sentAt);
    this.#renewAfter(this.#interval - (this.#clock.monotonic() - sentAt));
  }

  #extended(sentAt: number): void {
    // Counted from the previous renewal: a killed broker may have forgotten this one.
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

  /** A late timer shows that this process was suspended: the broker is not the cause. */
  #whyOver(): StopReason {
    const onTime = this.#clock.monotonic() - this.#deadline < LATE_MS;
    return onTime && this.#requestedAt !== undefined ? 'broker_lost' : 'lease_lost';
  }

  #lose(reason: StopReason): void {
    if (this.#stopped || this.signal.aborted) return;
    this.#options.log.warn({ reason }, 'the attempt has lost its lease');
    this.#forgetRenewal?.();
    this.#lost.abort(new Stopped(reason));
  }
}
