import { addUsd } from '../../contracts/wire/money.js';
import { isRecord } from '../../src/json.js';
import { amount, eachKind, NO_TOKENS, type Tokens } from './tokens.js';
import type { ClaudeMessage } from './ending.js';
import type { ModelPrices } from './model-prices.js';

const FIELDS = {
  input_tokens: 'input_tokens',
  output_tokens: 'output_tokens',
  cache_read_tokens: 'cache_read_input_tokens',
  cache_write_tokens: 'cache_creation_input_tokens',
} as const;

/** A model message that an agent is writing. */
interface Current {
  readonly id: string;
  readonly session: string;
  readonly model: string;
  readonly tokens: Tokens;
}

/**
 * The tokens of messages in Claude's stream that no sum of Claude's includes yet. This is the only usage known of a turn that ends
 * without a result.
 */
export class ReportedUsage {
  /** By agent. The main agent is ''. An agent writes one message at a time. */
  readonly #current = new Map<string, Current>();
  /** By session and model. */
  readonly #open = new Map<string, Map<string, Tokens>>();

  add(reported: ClaudeMessage): void {
    const agent = textOr(reported['parent_tool_use_id'], '');
    const session = textOr(reported['session_id'], '');
    if (reported.type === 'assistant') this.#begin(agent, session, reported['message']);
    const { event } = reported;
    if (reported.type !== 'stream_event' || !isRecord(event)) return;
    if (event['type'] === 'message_start') this.#begin(agent, session, event['message']);
    const current = this.#current.get(agent);
    if (event['type'] === 'message_delta' && current !== undefined) this.#count(agent, current, event['usage']);
  }

  /** Call it when Claude reports a session's sums, which include all messages so far. */
  cover(session: string): void {
    this.#open.delete(session);
  }

  /** Undefined: Claude's sums include everything. */
  missing(prices: ModelPrices): (Tokens & { cost_usd: number }) | undefined {
    const open = [...this.#open.values()].flatMap((models) => [...models]);
    if (open.length === 0) return undefined;
    const tokens = open.reduce((sum, [, more]) => eachKind((kind) => sum[kind] + more[kind]), NO_TOKENS);
    return { ...tokens, cost_usd: addUsd(...open.map(([model, more]) => prices.costOf(model, more))) };
  }

  #begin(agent: string, session: string, message: unknown): void {
    if (!isRecord(message) || typeof message['id'] !== 'string') return;
    const { id, usage } = message;
    const current = this.#current.get(agent);
    const same = current !== undefined && current.id === id;
    this.#count(agent, same ? current : { id, session, model: textOr(message['model'], ''), tokens: NO_TOKENS }, usage);
  }

  /** The counts of a message only grow, and each of its blocks repeats them. */
  #count(agent: string, current: Current, usage: unknown): void {
    const { session, model, tokens: before } = current;
    const reported = isRecord(usage) ? usage : {};
    const tokens = eachKind((kind) => Math.max(before[kind], Math.round(amount(reported[FIELDS[kind]]) ?? 0)));
    this.#current.set(agent, { ...current, tokens });
    if (Object.values(tokens).every((count, at) => count === Object.values(before)[at])) return;
    const models = this.#open.get(session) ?? new Map<string, Tokens>();
    const sum = models.get(model) ?? NO_TOKENS;
    models.set(
      model,
      eachKind((kind) => sum[kind] + tokens[kind] - before[kind]),
    );
    this.#open.set(session, models);
  }
}

const textOr = (value: unknown, otherwise: string): string => (typeof value === 'string' ? value : otherwise);
