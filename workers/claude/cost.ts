import { isDeepStrictEqual } from 'node:util';
import { addUsd } from '../../contracts/wire/money.js';
import { addUsage, NO_USAGE, type Usage } from '../../contracts/access/usage.js';
import { isRecord } from '../../src/json.js';
import type { ClaudeMessage } from './ending.js';
import { ModelPrices } from './model-prices.js';
import { ReportedUsage } from './reported-usage.js';
import { amount, eachKind, MODEL_USAGE, NO_TOKENS, type Tokens } from './tokens.js';

/** A transcript entry. `cost-state` entries have the session's costs so far, as Claude counted them. */
export interface Counted {
  readonly type: string;
  readonly [field: string]: unknown;
}

type Sums = Tokens & Pick<Usage, 'cost_usd'>;

/** A transcript's last `cost-state` entry. A resumed session continues from its sums (docs/design/facts.md#costs-are-cumulative). */
export const costStateOf = (entries: readonly Counted[]): Counted | undefined =>
  entries.findLast(({ type }) => type === 'cost-state');

/**
 * The usage of a run, by Claude's own figures: those in results, and those in the transcript when a run ends without a result. The figures
 * are sums over a session, so the sums from before the run are subtracted. `/clear` starts another session within a run, at zero; the last
 * sums of all sessions are added up. The usage of single messages in Claude's stream is added until a sum includes it.
 */
export class CostMeter {
  readonly #sessionId: string;
  readonly #before: Sums;
  readonly #prices: ModelPrices;
  readonly #sessions = new Map<string, Sums>();
  readonly #reported = new ReportedUsage();
  #turns = 0;

  /**
   * @param before the session's last cost state from before the run.
   * @param prices learn from Claude's sums, and estimate the cost of messages without a sum.
   */
  constructor(sessionId: string, before: Counted | undefined, prices = new ModelPrices()) {
    this.#sessionId = sessionId;
    this.#prices = prices;
    prices.learn(before?.['modelUsage']);
    this.#before = sumsOf(amount(before?.['totalCostUSD']) ?? 0, before);
  }

  /** Receives each message of Claude's stream. Several results of a run may report the same sums. */
  observe(message: ClaudeMessage): void {
    if (message.type !== 'result') {
      this.#reported.add(message);
      return;
    }
    // Unlike all other figures, this one is only for the last turn.
    this.#turns += Math.round(amount(message['num_turns']) ?? 0);
    this.#counted(message['session_id'], message['total_cost_usd'], message);
  }

  /** Receives the entries that Claude adds to the transcript. */
  entries(entries: readonly Counted[]): void {
    for (const entry of entries)
      if (entry.type === 'cost-state') this.#counted(entry['sessionId'], entry['totalCostUSD'], entry);
  }

  /** Undefined: Claude has reported no usage. */
  usage(): Usage | undefined {
    const missing = this.#reported.missing(this.#prices);
    if (missing === undefined) return this.#summed();
    return { ...addUsage(this.#summed() ?? NO_USAGE, { ...missing, turns: 0 }), estimated: true };
  }

  /** The usage by Claude's own sums alone. */
  #summed(): Usage | undefined {
    if (this.#sessions.size === 0) return undefined;
    const all = [...this.#sessions.values()].reduce(add, NOTHING);
    const own = this.#sessions.has(this.#sessionId) ? less(all, this.#before) : all;
    return { ...own, turns: this.#turns };
  }

  /** Sums arrive out of order, and a result that failed at its start has zeros. The largest sum is the latest. */
  #counted(session: unknown, asTotal: unknown, models: Counted): void {
    const total = amount(asTotal);
    if (total === undefined) return;
    const id = typeof session === 'string' ? session : this.#sessionId;
    const before = this.#sessions.get(id);
    const now = most(before ?? NOTHING, sumsOf(total, models));
    this.#sessions.set(id, now);
    this.#prices.learn(models['modelUsage']);
    // A late cost state that repeats known sums does not include the messages since.
    if (models.type === 'result' || !isDeepStrictEqual(now, before)) this.#reported.cover(id);
  }
}

const NOTHING: Sums = { cost_usd: 0, ...NO_TOKENS };

const each = (of: (kind: keyof Sums) => number): Sums => ({ cost_usd: of('cost_usd'), ...eachKind(of) });
const add = (a: Sums, b: Sums): Sums =>
  each((kind) => (kind === 'cost_usd' ? addUsd(a[kind], b[kind]) : a[kind] + b[kind]));
const most = (a: Sums, b: Sums): Sums => each((kind) => Math.max(a[kind], b[kind]));
const less = (a: Sums, b: Sums): Sums =>
  each((kind) => Math.max(0, kind === 'cost_usd' ? addUsd(a[kind], -b[kind]) : a[kind] - b[kind]));

function sumsOf(totalUsd: number, counted: Counted | undefined): Sums {
  const modelUsage = counted?.['modelUsage'];
  const models = isRecord(modelUsage) ? Object.values(modelUsage).filter(isRecord) : [];
  const sum = (name: string): number => models.reduce((sofar, model) => sofar + (amount(model[name]) ?? 0), 0);
  return { cost_usd: addUsd(totalUsd), ...eachKind((kind) => Math.round(sum(MODEL_USAGE[kind]))) };
}
