import type { Logger } from 'pino';
import {
  EXCHANGE_COUNTS,
  EXCHANGE_RECORDS,
  lowest,
  withDefaults,
  type ExchangeCount,
  type ExchangeLimits,
  type ExchangeRecord,
  type ExchangeView,
} from '../../contracts/access/exchanges.js';
import { addUsd } from '../../contracts/wire/money.js';
import { FORMAT_VERSION } from '../../contracts/wire/names.js';
import type { OwnedKey } from '../../contracts/wire/record-kind.js';
import type { SpawnCommand } from '../../contracts/tasks/spawn.js';
import type { Broker } from '../broker/connect.js';
import { Records } from '../broker/records.js';
import type { ReadModel } from '../store/read-model.js';
import { ApiError, withApiErrors } from '../errors/api-error.js';
import type { Principal } from './principal.js';

const NOTHING: ExchangeRecord = { v: FORMAT_VERSION, limits: {}, tasks: 0, messages: 0, tool_calls: 0 };

const NAMES: Readonly<Record<ExchangeCount, string>> = {
  tasks: 'tasks',
  messages: 'agent messages',
  tool_calls: 'tool calls',
};

/** The exchange of an agent's task. Commands of older builds have only the message. */
export const exchangeOf = ({ exchange_id: id, message }: Pick<SpawnCommand, 'exchange_id' | 'message'>) =>
  id ?? message?.exchange_id ?? message?.message_id;

/**
 * Counts the tasks, messages and tool calls of each exchange, in one record per exchange at the broker, so the limits apply across all APIs
 * and restarts (ADR 38). An item is counted before it is stored: an API that crashes in between has counted too many, never too few.
 */
export class Exchanges {
  readonly #records: Records<typeof ExchangeRecord, OwnedKey>;
  readonly #model: Pick<ReadModel, 'sum' | 'deletedCosts'>;

  constructor(broker: Broker, model: Pick<ReadModel, 'sum' | 'deletedCosts'>, log: Logger) {
    this.#records = new Records(broker, EXCHANGE_RECORDS, log);
    this.#model = model;
  }

  /** Lowers the limits of an exchange. Never raises one. @throws {ApiError} */
  async limit(owner: string, id: string, limits: ExchangeLimits | undefined): Promise<void> {
    if (limits === undefined || Object.keys(limits).length === 0) return;
    await this.#change(owner, id, (record) => ({ ...record, limits: lowest(record.limits, limits) }));
  }

  /** Counts one item. @throws {ApiError} exchange_limit; then nothing is counted */
  async count(owner: string, id: string, what: ExchangeCount): Promise<void> {
    await this.#change(owner, id, (record) => {
      const { [what]: max } = withDefaults(record.limits);
      if (record[what] >= max)
        throw new ApiError('exchange_limit', `The exchange ${id} has reached its limit of ${max} ${NAMES[what]}`);
      return { ...record, [what]: record[what] + 1 };
    });
  }

  /** Reverts one count of an item that failed. @throws {ApiError} */
  async uncount(owner: string, id: string, what: ExchangeCount): Promise<void> {
    await this.#change(owner, id, (record) => ({ ...record, [what]: Math.max(0, record[what] - 1) }));
  }

  /** Counts one item, even beyond the limit. @throws {ApiError} */
  async note(owner: string, id: string, what: ExchangeCount): Promise<void> {
    await this.#change(owner, id, (record) => ({ ...record, [what]: record[what] + 1 }));
  }

  /** The cost limit of its tasks together, and their cost so far. Undefined: no limit. @throws {ApiError} */
  async budget(owner: string, id: string): Promise<{ readonly usd: number; readonly spent: number } | undefined> {
    const record = await withApiErrors(() => this.#records.get([owner, id]));
    const { budget_usd: usd } = record?.limits ?? {};
    if (usd === undefined) return undefined;
    return { usd, spent: (await this.#sum(owner, id)).usage.cost_usd };
  }

  /** @throws {ApiError} not_found (also for another owner's exchange) */
  async one(id: string, principal: Principal): Promise<ExchangeView> {
    const owner = principal.seesAll ? undefined : principal.owner;
    const [record, { tasks, open, usage }] = await Promise.all([
      withApiErrors(() => this.#records.get([owner ?? '*', id])),
      this.#sum(owner, id),
    ]);
    if (record === undefined && tasks === 0) throw new ApiError('not_found', `There is no exchange ${id}`);
    const { limits, ...counted } = record ?? { ...NOTHING, tasks };
    const counts = Object.fromEntries(EXCHANGE_COUNTS.map((name) => [name, counted[name]]));
    return {
      exchange_id: id,
      limits: withDefaults(limits),
      ...(counts as Record<ExchangeCount, number>),
      open,
      usage,
    };
  }

  /** Deletes all counts of an owner. @throws {BrokerError} */
  purge(owner: string): Promise<void> {
    return this.#records.purge([owner]);
  }

  /** Sums its tasks, including the cost of deleted ones. */
  async #sum(owner: string | undefined, exchangeId: string): ReturnType<ReadModel['sum']> {
    const deleted = await this.#model.deletedCosts({ owner, exchangeId });
    const { usage, ...sum } = await this.#model.sum({ owner, exchangeId });
    return { ...sum, usage: { ...usage, cost_usd: addUsd(usage.cost_usd, deleted) } };
  }

  async #change(owner: string, id: string, change: (record: ExchangeRecord) => ExchangeRecord): Promise<void> {
    await withApiErrors(() =>
      this.#records.update([owner, id], ({ record = NOTHING }) => {
        const next = change(record);
        return JSON.stringify(next) === JSON.stringify(record) ? undefined : next;
      }),
    );
  }
}
