import type { Logger } from 'pino';
import type { Broker } from '../../broker/connect.js';
import { contend } from '../../broker/contention.js';
import { lastState, transition, type TaskIdentity } from '../../broker/task-states.js';
import { RETRY_MS } from '../../retry.js';

/** Asked before a task is cancelled: false when somebody was told that it was accepted. @throws {BrokerError} */
export type Abandon = () => Promise<boolean>;

interface Unsettled {
  readonly task: TaskIdentity;
  readonly abandon: Abandon | undefined;
}

const MAX_LATER = 100_000;

/**
 * Cancels tasks that were refused, or of which it isn't known whether the broker took them: nobody was told that they were accepted,
 * so they must not run unnoticed (docs/design/broker-protocol.md#not-accepted).
 */
export class NotAccepted {
  readonly #broker: Broker;
  readonly #log: Logger;
  readonly #later: Unsettled[] = [];
  readonly #forget: () => void;
  #working: Promise<void> | undefined;
  #forgetRetry: (() => void) | undefined;
  #stopped = false;

  constructor(broker: Broker, log: Logger) {
    this.#broker = broker;
    this.#log = log;
    this.#forget = broker.onConnection((connected) => {
      if (connected) this.#workOff();
    });
  }

  /** @returns false when the task had started, or `abandon` says so, and so was accepted. @throws {BrokerError} */
  async cancel(task: TaskIdentity, abandon?: Abandon): Promise<boolean> {
    if (abandon !== undefined && !(await abandon())) return false;
    return contend(async () => {
      const state = await lastState(this.#broker, task.task_id);
      if (state.status !== 'queued' && state.status !== 'waiting') return state.status === 'cancelled';
      const stored = await transition(this.#broker, state, 'cancelled', { ...task, reason: 'not_accepted' });
      return stored === undefined ? undefined : true;
    });
  }

  /** Cancels it as soon as the broker answers again. */
  later(task: TaskIdentity, abandon?: Abandon): void {
    if (this.#later.length >= MAX_LATER)
      this.#log.error({ task_id: task.task_id }, 'too many tasks of unknown fate; this one may run unasked');
    else this.#later.push({ task, abandon });
    if (this.#broker.connected()) this.#workOff();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#forget();
    this.#forgetRetry?.();
    await this.#working;
    if (this.#later.length > 0)
      this.#log.warn({ tasks: this.#later.length }, 'tasks of unknown fate are left; they may run');
  }

  #workOff(): void {
    if (this.#stopped) return;
    this.#forgetRetry?.();
    this.#working ??= this.#work().finally(() => (this.#working = undefined));
  }

  async #work(): Promise<void> {
    for (let next = this.#later[0]; next !== undefined && !this.#stopped; next = this.#later[0]) {
      const { task_id } = next.task;
      try {
        const cancelled = await this.cancel(next.task, next.abandon);
        this.#log.info({ task_id, cancelled }, 'settled a task of unknown fate');
        this.#later.shift();
      } catch (error) {
        this.#log.warn({ err: error, task_id }, 'a task of unknown fate could not be settled yet; trying again');
        // What is wrong may be only with this one.
        this.#later.push(...this.#later.splice(0, 1));
        // A broker that only hangs loses no connection, so its return is no event.
        if (!this.#stopped) this.#forgetRetry = this.#broker.clock.after(RETRY_MS.background, () => this.#workOff());
        return;
      }
    }
  }
}
