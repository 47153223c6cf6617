import { addUsd } from '../../contracts/money.js';
import type { Usage } from '../../contracts/usage.js';
import { isRecord } from '../../src/json.js';
import type { ClaudeMessage } from './ending.js';

/** What Claude has counted in a session so far, as a transcript keeps it. */
export interface Counted {
  readonly type: string;
  readonly [field: string]: unknown;
}

const KINDS = {
  input_tokens: 'inputTokens',
  output_tokens: 'outputTokens',
  cache_read_tokens: 'cacheReadInputTokens',
  cache_write_tokens: 'cacheCreationInputTokens',
} as const;

type Sums = Pick<Usage, 'cost_usd' | keyof typeof KINDS>;

/** The last of a transcript's `cost-state` entries: from there Claude counts on when it resumes (tried, 0.3.330). */
export const costStateOf = (entries: readonly Counted[]): Counted | undefined =>
  entries.findLast(({ type }) => type === 'cost-state');

/**
 * What a run of Claude takes, by Claude's own figures: its results', and those that it notes in the transcript when it ends without one.
 * They are sums over a session, so what stood there before is taken off. `/clear` begins another session in the middle of a run, at zero:
 * what each had counted last is added up.
 */
export class CostMeter {
  readonly #sessionId: string;
  readonly #before: Sums;
  readonly #sessions = new Map<string, Sums>();
  #turns = 0;

  /** @param before what Claude had counted in the session before the run. */
  constructor(sessionId: string, before: Counted | undefined) {
    this.#sessionId = sessionId;
    this.#before = sumsOf(amount(before?.['totalCostUSD']) ?? 0, before);
  }

  /** A result of Claude's; one of a run may say what another one said. */
  result(result: ClaudeMessage): void {
    // Of its turn alone, unlike all else.
    this.#turns += Math.round(amount(result['num_turns']) ?? 0);
    this.#counted(result['session_id'], result['total_cost_usd'], result);
  }

  /** What Claude adds to the transcript. */
  entries(entries: readonly Counted[]): void {
    for (const entry of entries)
      if (entry.type === 'cost-state') this.#counted(entry['sessionId'], entry['totalCostUSD'], entry);
  }

  /** Undefined: Claude has said nothing of it. */
  usage(): Usage | undefined {
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
    this.#sessions.set(id, most(this.#sessions.get(id) ?? NOTHING, sumsOf(total, models)));
  }
}

const NOTHING: Sums = { cost_usd: 0, input_tokens: 0, output_tokens: 0, cache_read_tokens: 0, cache_write_tokens: 0 };

const each = (of: (kind: keyof Sums) => number): Sums =>
  Object.fromEntries((Object.keys(NOTHING) as (keyof Sums)[]).map((kind) => [kind, of(kind)])) as unknown as Sums;
const add = (a: Sums, b: Sums): Sums =>
  each((kind) => (kind === 'cost_usd' ? addUsd(a[kind], b[kind]) : a[kind] + b[kind]));
const most = (a: Sums, b: Sums): Sums => each((kind) => Math.max(a[kind], b[kind]));
const less = (a: Sums, b: Sums): Sums =>
  each((kind) => Math.max(0, kind === 'cost_usd' ? addUsd(a[kind], -b[kind]) : a[kind] - b[kind]));

/** Claude's stream may hold any JSON: 1e999 is Infinity, which no event can carry. */
const amount = (value: unknown): number | undefined =>
  typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER ? value : undefined;

function sumsOf(totalUsd: number, counted: Counted | undefined): Sums {
  const modelUsage = counted?.['modelUsage'];
  const models = isRecord(modelUsage) ? Object.values(modelUsage).filter(isRecord) : [];
  const sum = (name: string): number => models.reduce((sofar, model) => sofar + (amount(model[name]) ?? 0), 0);
  return each((kind) => (kind === 'cost_usd' ? addUsd(totalUsd) : Math.round(sum(KINDS[kind]))));
}
