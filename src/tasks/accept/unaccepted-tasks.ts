import type { Logger } from 'pino';
import type { Broker } from '../../broker/connect.js';
import { contend } from '../../broker/contention.js';
import { lastState, transition, type TaskIdentity } from '../../broker/task-states.js';
import { RETRY_MS } from '../../retry.js';

/** @returns false if a client was told that the task is accepted, so it must not be cancelled. @throws {BrokerError} */
export type Abandon = () => Promise<boolean>;

interface Unsettled {
  readonly task: TaskIdentity;
  readonly abandon: Abandon | undefined;
}

const MAX_LATER = 100_000;

/**
 * Cancels tasks that were refused, or whose storage the broker did not confirm. No client knows that they are accepted, so they must not
 * run (docs/design/broker-protocol.md#not-accepted).
 */
export class UnacceptedTasks {
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

  /** @returns false if the task is accepted: it has started, or `abandon` returned false. @throws {BrokerError} */
  async cancel(task: TaskIdentity, abandon?: Abandon): Promise<boolean> {
    if (abandon !== undefined && !(await abandon())) return false;
    return contend(async () => {
      const state = await lastState(this.#broker, task.task_id);
      if (state.status !== 'queued' && state.status !== 'waiting') return state.status === 'cancelled';
      const stored = await transition(this.#broker, state, 'cancelled', { ...task, reason: 'not_accepted' });
      return stored === undefined ? undefined : true;
    });
  }

  /** Cancels the task when the broker answers again. */
  later(task: TaskIdentity, abandon?: Abandon): void {
    if (this.#later.length >= MAX_LATER)
      this.#log.error(
        { task_id: task.task_id },
        'too many unconfirmed tasks; this one may run although its client got an error',
      );
    else this.#later.push({ task, abandon });
    if (this.#broker.connected()) this.#workOff();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#forget();
    this.#forgetRetry?.();
    await this.#working;
    if (this.#later.length > 0)
      this.#log.warn(
        { tasks: this.#later.length },
        'stopped with unconfirmed tasks; they may run although their clients got errors',
      );
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
        this.#log.info({ task_id, cancelled }, 'settled an unconfirmed task');
        this.#later.shift();
      } catch (error) {
        this.#log.warn({ err: error, task_id }, 'could not settle an unconfirmed task; retrying');
        // Try the others first: only this task may be affected.
        this.#later.push(...this.#later.splice(0, 1));
        // A hung broker keeps its connection, so `onConnection` does not report its recovery.
        if (!this.#stopped) this.#forgetRetry = this.#broker.clock.after(RETRY_MS.background, () => this.#workOff());
        return;
      }
    }
  }
}
