import type { Logger } from 'pino';
import { Budgets } from '../../contracts/access/budgets.js';
import { addUsd } from '../../contracts/wire/money.js';
import { WatchedFile } from '../config/watched-file.js';
import type { ReadModel } from '../store/read-model.js';
import type { TaskFilter } from '../store/task-store.js';
import { ApiError } from '../errors/api-error.js';
import type { Exchanges } from './exchanges.js';
import type { Clock } from '../clock.js';

export type BudgetsFile = WatchedFile<typeof Budgets>;

/** @throws {ConfigError} */
export const budgetsFile = (path: string | undefined, log: Logger): BudgetsFile =>
  new WatchedFile({ variable: 'KSI_BUDGETS', path, schema: Budgets, none: {}, log });

const DAY_MS = 86_400_000;
/** How long a day's sum is cached. */
const FRESH_MS = 1_000;

/** The attributes of a task that budgets apply to. */
export interface Spender {
  readonly owner: string;
  readonly tokenId?: string | undefined;
  readonly sessionId: string;
  /** Set for tasks of agents. */
  readonly exchangeId?: string | undefined;
}

const keyOf = (day: string, owner: string, tokenId: string | undefined): string => `${day} ${owner} ${tokenId ?? ''}`;

interface Limit {
  /** What the limit applies to, for error texts. */
  readonly what: string;
  readonly usd: number;
  readonly spent: () => Promise<number>;
  /** The open tasks that it applies to. */
  readonly scope: TaskFilter;
  /** The limit resets every day, at midnight UTC. */
  readonly daily: boolean;
}

/**
 * Computes what a task may still cost under its budgets. All ended tasks count, deleted ones too (ADR 55). Concurrent tasks do not see
 * each other's cost, so they can exceed a budget together.
 */
export class Budget {
  readonly #file: Pick<BudgetsFile, 'current'>;
  readonly #model: Pick<ReadModel, 'costOfDay' | 'costOfSession'>;
  readonly #exchanges: Pick<Exchanges, 'budget'>;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #sums = new Map<string, { at: number; usd: Promise<number> }>();

  constructor(
    file: Pick<BudgetsFile, 'current'>,
    model: Pick<ReadModel, 'costOfDay' | 'costOfSession'>,
    exchanges: Pick<Exchanges, 'budget'>,
    clock: Pick<Clock, 'now'>,
  ) {
    this.#file = file;
    this.#model = model;
    this.#exchanges = exchanges;
    this.#clock = clock;
  }

  /** @returns the smallest remaining amount in US dollars; undefined: no limit. @throws {ApiError} budget_exceeded */
  async left(spender: Spender, now = this.#clock.now()): Promise<number | undefined> {
    let least: number | undefined;
    for await (const { what, usd, spent, daily } of this.#limits(spender, now)) {
      const left = addUsd(usd, -(await spent()));
      if (left <= 0)
        throw new ApiError(
          'budget_exceeded',
          `The budget of $${usd} for ${what} is used up`,
          daily ? { retryAfter: Math.ceil((DAY_MS - (now % DAY_MS)) / 1_000) } : {},
        );
      least = Math.min(least ?? left, left);
    }
    return least;
  }

  /** Adds new cost to the cached sums of its day. */
  note({ owner, tokenId }: Spender, spent: number, now = this.#clock.now()): void {
    const day = new Date(now).toISOString().slice(0, 10);
    for (const key of [keyOf(day, owner, undefined), ...(tokenId === undefined ? [] : [keyOf(day, owner, tokenId)])]) {
      const known = this.#sums.get(key);
      if (known === undefined) continue;
      const usd = known.usd.then((sum) => addUsd(sum, spent));
      // The next reader of the sum gets the error.
      usd.catch(() => undefined);
      this.#sums.set(key, { at: known.at, usd });
    }
  }

  /** The tasks that must not start any more because a budget of `spender` is used up. */
  async spent(spender: Spender, now = this.#clock.now()): Promise<TaskFilter[]> {
    const scopes: TaskFilter[] = [];
    for await (const { usd, spent, scope } of this.#limits(spender, now))
      if (addUsd(usd, -(await spent())) <= 0) scopes.push(scope);
    return scopes;
  }

  async *#limits({ owner, tokenId, sessionId, exchangeId }: Spender, now: number): AsyncGenerator<Limit> {
    const { session_usd, owner_usd_per_day, token_usd_per_day, owners, tokens } = this.#file.current;
    const ofOwner = owners?.[owner]?.usd_per_day ?? owner_usd_per_day;
    const ofToken = tokenId === undefined ? undefined : (tokens?.[tokenId]?.usd_per_day ?? token_usd_per_day);
    const day = new Date(now).toISOString().slice(0, 10);
    const ofExchange = exchangeId === undefined ? undefined : await this.#exchanges.budget(owner, exchangeId);
    if (ofExchange !== undefined)
      yield {
        what: `the exchange ${exchangeId}`,
        usd: ofExchange.usd,
        spent: () => Promise.resolve(ofExchange.spent),
        scope: { owner, exchangeId },
        daily: false,
      };
    if (ofOwner !== undefined)
      yield {
        what: `${owner} per day`,
        usd: ofOwner,
        spent: () => this.#spent(owner, undefined, day, now),
        scope: { owner },
        daily: true,
      };
    if (ofToken !== undefined)
      yield {
        what: `the token ${tokenId} per day`,
        usd: ofToken,
        spent: () => this.#spent(owner, tokenId, day, now),
        scope: { owner, tokenId },
        daily: true,
      };
    if (session_usd !== undefined)
      yield {
        what: `the session ${sessionId}`,
        usd: session_usd,
        spent: () => this.#model.costOfSession(sessionId),
        scope: { owner: undefined, sessionId },
        daily: false,
      };
  }

  #spent(owner: string, tokenId: string | undefined, day: string, now: number): Promise<number> {
    const key = keyOf(day, owner, tokenId);
    const known = this.#sums.get(key);
    if (known !== undefined && now - known.at < FRESH_MS) return known.usd;
    // Drop all stale sums.
    for (const [other, { at }] of this.#sums) if (now - at >= FRESH_MS) this.#sums.delete(other);
    const usd = this.#model.costOfDay({ owner, day, tokenId });
    this.#sums.set(key, { at: now, usd });
    return usd;
  }
}
