import type { Logger } from 'pino';
import type { Usage } from '../../contracts/access/usage.js';
import type { TaskStatus } from '../../contracts/tasks/states.js';
import type { Broker } from '../broker/connect.js';
import { identityOf, lastState, transition } from '../broker/task-states.js';
import type { HubEvent } from '../events/hub-event.js';
import type { EventHub } from '../events/hub.js';
import type { TaskRow } from '../store/projection.js';
import type { ReadModel } from '../store/read-model.js';
import type { TaskFilter } from '../store/task-store.js';
import type { Budget, Spender } from '../access/budgets.js';
import { releaseUnstarted } from './steer/release-unstarted.js';

export interface BudgetEnforcerOptions {
  readonly broker: Broker;
  readonly hub: Pick<EventHub, 'subscribe'>;
  readonly model: Pick<ReadModel, 'get' | 'list'>;
  readonly budget: Pick<Budget, 'note' | 'spent'>;
  readonly log: Logger;
}

/** Cost that arrives within this time is checked together. Longer than the cache time of a day's sum. */
const LOOK_MS = 1_500;
const PAGE = 500;
/** A running task is not cancelled: it has its own cost limit, and its work would be lost. */
const NOT_BEGUN: readonly TaskStatus[] = ['scheduled', 'queued', 'waiting', 'retrying'];

/** Cancels tasks that have not started when one of their budgets is used up. */
export class BudgetEnforcer {
  readonly #options: BudgetEnforcerOptions;
  #spenders = new Map<string, Spender>();
  #leave: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: BudgetEnforcerOptions) {
    this.#options = options;
  }

  start(): void {
    this.#leave = this.#options.hub.subscribe((event) => this.#onEvent(event));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#leave?.();
    clearTimeout(this.#timer);
    await this.#looking;
  }

  #onEvent({ data }: HubEvent): void {
    const { usage, task_id: id, session_id: sessionId, owner } = data;
    if (usage === undefined || typeof sessionId !== 'string' || typeof owner !== 'string') return;
    const { token_id: tokenId, exchange_id: exchangeId } =
      (typeof id === 'string' ? this.#options.model.get(id) : undefined) ?? {};
    const spender = { owner, tokenId, sessionId, exchangeId };
    // An attempt that starts now must not get a budget from a stale sum.
    this.#options.budget.note(spender, (usage as Usage).cost_usd);
    this.#spenders.set(`${owner} ${tokenId} ${sessionId} ${exchangeId}`, spender);
    this.#lookLater();
  }

  #lookLater(): void {
    if (this.#stopped) return;
    this.#timer ??= setTimeout(() => {
      this.#looking = this.#look().finally(() => {
        this.#timer = undefined;
        if (this.#spenders.size > 0) this.#lookLater();
      });
    }, LOOK_MS);
  }

  /** Never rejects. A failed check is repeated. */
  async #look(): Promise<void> {
    const spenders = this.#spenders;
    this.#spenders = new Map();
    for (const [key, spender] of spenders) {
      if (this.#stopped) return;
      try {
        for (const scope of await this.#options.budget.spent(spender)) await this.#cancel(scope);
      } catch (error) {
        this.#spenders.set(key, spender);
        this.#options.log.warn({ err: error }, 'could not enforce a budget that is used up; retrying');
      }
    }
  }

  async #cancel(scope: TaskFilter): Promise<void> {
    const { model, broker, log } = this.#options;
    for (const status of NOT_BEGUN) {
      let before: string | undefined;
      do {
        const page = await model.list({ ...scope, status: [status] }, PAGE, before);
        for (const row of page.rows) {
          if (this.#stopped) return;
          if (!(await this.#cancelOne(row))) continue;
          log.info({ task_id: row.task_id }, 'cancelled a task because its budget is used up');
          await releaseUnstarted(broker, row, log);
        }
        before = page.next;
      } while (before !== undefined);
    }
  }

  /** @returns false if the task has started or ended, or another API was first. */
  async #cancelOne(row: TaskRow): Promise<boolean> {
    const { broker } = this.#options;
    const state = await lastState(broker, row.task_id);
    if (!NOT_BEGUN.includes(state.status)) return false;
    const data = { ...identityOf(row), reason: 'budget_exceeded' as const };
    return (await transition(broker, state, 'cancelled', data)) !== undefined;
  }
}
