import type { Logger } from 'pino';
import { Budgets } from '../../contracts/access/budgets.js';
import { addUsd } from '../../contracts/wire/money.js';
import { OperatorFile } from '../config/operator-file.js';
import type { ReadModel } from '../store/read-model.js';
import type { TaskFilter } from '../store/task-store.js';
import { ApiError } from '../errors/api-error.js';
import type { Exchanges } from './exchanges.js';
import type { Clock } from '../clock.js';

export type BudgetsFile = OperatorFile<typeof Budgets>;

/** @throws {ConfigError} */
export const budgetsFile = (path: string | undefined, log: Logger): BudgetsFile =>
  new OperatorFile({ variable: 'KSI_BUDGETS', path, schema: Budgets, none: {}, log });

const DAY_MS = 86_400_000;
/** For so long a sum of a day is not made anew. */
const FRESH_MS = 1_000;

/** Whom a task is for, as far as budgets look at it. */
export interface Spender {
  readonly owner: string;
  readonly tokenId?: string | undefined;
  readonly sessionId: string;
  /** Of an agent's task. */
  readonly exchangeId?: string | undefined;
}

const keyOf = (day: string, owner: string, tokenId: string | undefined): string => `${day} ${owner} ${tokenId ?? ''}`;

interface Limit {
  /** For people. */
  readonly what: string;
  readonly usd: number;
  readonly spent: () => Promise<number>;
  /** The open tasks that fall under it. */
  readonly scope: TaskFilter;
  /** It begins anew with the next day. */
  readonly daily: boolean;
}

/**
 * What a task may cost at the most, by the budgets that it falls under. All tasks that have ended count, deleted ones too (ADR 55). Tasks that
 * run at the same time don't know of each other, so a budget can be exceeded by what they spend.
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

  /** @returns US dollars; undefined: any. @throws {ApiError} budget_exceeded */
  async left(spender: Spender, now = this.#clock.now()): Promise<number | undefined> {
    let least: number | undefined;
    for await (const { what, usd, spent, daily } of this.#limits(spender, now)) {
      const left = addUsd(usd, -(await spent()));
      if (left <= 0)
        throw new ApiError(
          'budget_exceeded',
          `${what} may cost $${usd}, which is spent`,
          daily ? { retryAfter: Math.ceil((DAY_MS - (now % DAY_MS)) / 1_000) } : {},
        );
      least = Math.min(least ?? left, left);
    }
    return least;
  }

  /** Adds what has just been spent to the sums of a day that are known already. */
  note({ owner, tokenId }: Spender, spent: number, now = this.#clock.now()): void {
    const day = new Date(now).toISOString().slice(0, 10);
    for (const key of [keyOf(day, owner, undefined), ...(tokenId === undefined ? [] : [keyOf(day, owner, tokenId)])]) {
      const known = this.#sums.get(key);
      if (known === undefined) continue;
      const usd = known.usd.then((sum) => addUsd(sum, spent));
      // Whoever asks for it next is told.
      usd.catch(() => undefined);
      this.#sums.set(key, { at: known.at, usd });
    }
  }

  /** What may not be begun any more, since a budget that somebody spent from is spent. */
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
        what: `The exchange ${exchangeId}`,
        usd: ofExchange.usd,
        spent: () => Promise.resolve(ofExchange.spent),
        scope: { owner, exchangeId },
        daily: false,
      };
    if (ofOwner !== undefined)
      yield {
        what: `What ${owner} asks for in a day`,
        usd: ofOwner,
        spent: () => this.#spent(owner, undefined, day, now),
        scope: { owner },
        daily: true,
      };
    if (ofToken !== undefined)
      yield {
        what: `What the token ${tokenId} asks for in a day`,
        usd: ofToken,
        spent: () => this.#spent(owner, tokenId, day, now),
        scope: { owner, tokenId },
        daily: true,
      };
    if (session_usd !== undefined)
      yield {
        what: `The session ${sessionId}`,
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
    // Sums of other days, and of who asks no more.
    for (const [other, { at }] of this.#sums) if (now - at >= FRESH_MS) this.#sums.delete(other);
    const usd = this.#model.costOfDay({ owner, day, tokenId });
    this.#sums.set(key, { at: now, usd });
    return usd;
  }
}
