import { isDeepStrictEqual } from 'node:util';
import { addUsd } from '../../contracts/wire/money.js';
import { addUsage, NO_USAGE, type Usage } from '../../contracts/access/usage.js';
import { isRecord } from '../../src/json.js';
import type { ClaudeMessage } from './ending.js';
import { ModelPrices } from './model-prices.js';
import { SaidUsage } from './said-usage.js';
import { amount, eachKind, MODEL_USAGE, NO_TOKENS, type Tokens } from './tokens.js';

/** What Claude has counted in a session so far, as a transcript keeps it. */
export interface Counted {
  readonly type: string;
  readonly [field: string]: unknown;
}

type Sums = Tokens & Pick<Usage, 'cost_usd'>;

/** The last of a transcript's `cost-state` entries: from there Claude counts on when it resumes (docs/design/facts.md#costs-are-cumulative). */
export const costStateOf = (entries: readonly Counted[]): Counted | undefined =>
  entries.findLast(({ type }) => type === 'cost-state');

/**
 * What a run of Claude takes, by Claude's own figures: its results', and those that it notes in the transcript when it ends without one.
 * They are sums over a session, so what stood there before is taken off. `/clear` begins another session in the middle of a run, at zero:
 * what each had counted last is added up. What Claude's stream says of single messages is added while no sum includes it.
 */
export class CostMeter {
  readonly #sessionId: string;
  readonly #before: Sums;
  readonly #prices: ModelPrices;
  readonly #sessions = new Map<string, Sums>();
  readonly #said = new SaidUsage();
  #turns = 0;

  /**
   * @param before what Claude had counted in the session before the run.
   * @param prices learn from what Claude counts, and serve to estimate what it does not.
   */
  constructor(sessionId: string, before: Counted | undefined, prices = new ModelPrices()) {
    this.#sessionId = sessionId;
    this.#prices = prices;
    prices.learn(before?.['modelUsage']);
    this.#before = sumsOf(amount(before?.['totalCostUSD']) ?? 0, before);
  }

  /** Any message of Claude's stream; one result of a run may say what another one said. */
  heard(message: ClaudeMessage): void {
    if (message.type !== 'result') {
      this.#said.add(message);
      return;
    }
    // Of its turn alone, unlike all else.
    this.#turns += Math.round(amount(message['num_turns']) ?? 0);
    this.#counted(message['session_id'], message['total_cost_usd'], message);
  }

  /** What Claude adds to the transcript. */
  entries(entries: readonly Counted[]): void {
    for (const entry of entries)
      if (entry.type === 'cost-state') this.#counted(entry['sessionId'], entry['totalCostUSD'], entry);
  }

  /** Undefined: Claude has said nothing of it. */
  usage(): Usage | undefined {
    const missing = this.#said.missing(this.#prices);
    if (missing === undefined) return this.#summed();
    return { ...addUsage(this.#summed() ?? NO_USAGE, { ...missing, turns: 0 }), estimated: true };
  }

  /** By Claude's own sums. */
  #summed(): Usage | undefined {
    if (this.#sessions.size === 0) return undefined;
    const all = [...this.#sessions.values()].reduce(add, NOTHING);
    const own = this.#sessions.has(this.#sessionId) ? less(all, this.#before) : all;
    return { ...own, turns: this.#turns };
  }

  /** They come out of order, and a result that failed at its start has zeros: the most is the last. */
  #counted(session: unknown, asTotal: unknown, models: Counted): void {
    const total = amount(asTotal);
    if (total === undefined) return;
    const id = typeof session === 'string' ? session : this.#sessionId;
    const before = this.#sessions.get(id);
    const now = most(before ?? NOTHING, sumsOf(total, models));
    this.#sessions.set(id, now);
    this.#prices.learn(models['modelUsage']);
    // One that comes late, and says what is known, includes nothing that was said since.
    if (models.type === 'result' || !isDeepStrictEqual(now, before)) this.#said.cover(id);
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
