import type { Logger } from 'pino';
import type { Config } from '../../../contracts/config/config.js';
import { STREAM } from '../../../contracts/wire/names.js';
import { queueConsumers } from '../../../contracts/broker/topology.js';
import type { Broker } from '../../broker/connect.js';
import { asBrokerError } from '../../broker/read.js';
import { listOf } from '../../config/load.js';

const REFRESH_MS = 1_000;
/** The share of the limits for new tasks. Promotions, fired schedules and retries need the rest, as the stream's limits apply to them too. */
const SHARE_FOR_CLIENTS = 0.9;

type Limits = Pick<Config, 'KSI_QUEUES' | 'KSI_QUEUE_MAX' | 'KSI_QUEUE_MAX_BYTES'>;

/**
 * The number of tasks in each queue, including waiting ones, and the bytes of all queues, so that an API refuses a task before the broker
 * does. Reads them from the broker while tasks arrive, at most once a second.
 */
export class QueueCapacity {
  readonly #broker: Broker;
  readonly #log: Logger;
  readonly #maxTasks: number;
  readonly #maxBytes: number;
  /** `seen` at the last read, and `taken` since that read began. */
  readonly #queues: Map<string, { seen: number; taken: number }>;
  readonly #bytes = { seen: 0, taken: 0 };
  #lookedAt = -Infinity;
  #looking: Promise<void> | undefined;

  constructor(broker: Broker, limits: Limits, log: Logger) {
    this.#broker = broker;
    this.#log = log;
    this.#maxTasks = Math.floor(limits.KSI_QUEUE_MAX * SHARE_FOR_CLIENTS);
    this.#maxBytes = Math.floor(limits.KSI_QUEUE_MAX_BYTES * SHARE_FOR_CLIENTS);
    this.#queues = new Map(listOf(limits.KSI_QUEUES).map((queue) => [queue, { seen: 0, taken: 0 }]));
  }

  /** Tasks in all queues. */
  get standing(): number {
    return [...this.#queues.values()].reduce((sum, { seen, taken }) => sum + seen + taken, 0);
  }

  /** Why no queue accepts a task, by the last read; undefined: one does. Starts a new read for the next call. */
  full(): string | undefined {
    this.#lookIfOld();
    const bytes = this.#bytes.seen + this.#bytes.taken;
    if (bytes >= this.#maxBytes) return `The queues are full: they contain ${bytes} bytes`;
    const counts = [...this.#queues.values()];
    return counts.every((tasks) => this.#isFull(tasks)) ? `Every queue is full: ${this.#maxTasks} tasks` : undefined;
  }

  /**
   * Reserves capacity for a task of about this size. Answers at once while the last known figures allow it. Before it refuses, it reads
   * the current figures.
   */
  reserve(queue: string, bytes: number): boolean | Promise<boolean> {
    this.#lookIfOld();
    return this.#count(queue, bytes) || this.#lookAndCount(queue, bytes);
  }

  async #lookAndCount(queue: string, bytes: number): Promise<boolean> {
    await this.#looking;
    if (this.#count(queue, bytes)) return true;
    // Tasks that arrived during the read are counted twice, so read once more.
    if (this.#bytes.taken === 0) return false;
    await this.#look();
    return this.#count(queue, bytes);
  }

  #count(queue: string, bytes: number): boolean {
    const tasks = this.#queues.get(queue);
    if (tasks === undefined || this.#isFull(tasks)) return false;
    if (this.#bytes.seen + this.#bytes.taken + bytes > this.#maxBytes) return false;
    tasks.taken += 1;
    this.#bytes.taken += bytes;
    return true;
  }

  /** @throws {BrokerError} */
  async refresh(): Promise<void> {
    const { streams, consumers } = this.#broker.jsm;
    // Tasks that arrive during the read may be in its answer or not. Count them twice: a refusal reads again.
    const before = { bytes: this.#bytes.taken, tasks: new Map([...this.#queues].map(([q, { taken }]) => [q, taken])) };
    try {
      const [{ state }, ...lengths] = await Promise.all([
        streams.info(STREAM.commands),
        ...[...this.#queues.keys()].map(async (queue) => {
          // Delivered but unacknowledged tasks are still in the queue.
          const infos = await Promise.all(queueConsumers(queue).map((name) => consumers.info(STREAM.commands, name)));
          return { queue, seen: infos.reduce((sum, info) => sum + info.num_pending + info.num_ack_pending, 0) };
        }),
      ]);
      this.#bytes.seen = state.bytes;
      this.#bytes.taken = Math.max(0, this.#bytes.taken - before.bytes);
      for (const { queue, seen } of lengths) {
        const taken = Math.max(0, (this.#queues.get(queue)?.taken ?? 0) - (before.tasks.get(queue) ?? 0));
        this.#queues.set(queue, { seen, taken });
      }
    } catch (error) {
      throw asBrokerError(error, 'reading the length of the queues');
    }
  }

  #isFull({ seen, taken }: { readonly seen: number; readonly taken: number }): boolean {
    return seen + taken >= this.#maxTasks;
  }

  #lookIfOld(): void {
    if (performance.now() - this.#lookedAt > REFRESH_MS) void this.#look();
  }

  #look(): Promise<void> {
    this.#lookedAt = performance.now();
    this.#looking ??= this.refresh()
      .catch((error: unknown) => this.#log.warn({ err: error }, 'could not read the length of the queues'))
      .finally(() => (this.#looking = undefined));
    return this.#looking;
  }
}
