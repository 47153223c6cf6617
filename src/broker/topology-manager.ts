import type { StreamInfo } from '@nats-io/jetstream';
import type { Logger } from 'pino';
import type { Config } from '../../contracts/config/config.js';
import { SUBJECT } from '../../contracts/wire/names.js';
import { consumerSpecs, streamSpecs, type ConsumerSpec, type StreamSpec } from '../../contracts/broker/topology.js';
import { sleep } from '../clock.js';
import { RETRY_MS } from '../retry.js';
import type { Broker } from './connect.js';
import type { KnownStreams } from './known-streams.js';
import { streamInfo } from './read.js';
import { isEssential, NEED_RECORDS, NEED_ROOM } from './task-writes.js';
import { consumerNames, ensureConsumer, makeStream, updateStream } from './topology.js';

export interface TopologyOptions {
  readonly broker: Broker;
  readonly config: Config;
  /** Absent: missing streams are created at once, never reported as lost. */
  readonly known?: KnownStreams | undefined;
  /** How long a lost stream is reported before it is re-created. Default: 5 s. */
  readonly reportMs?: number | undefined;
  readonly log: Logger;
}

const LOOK_MS = 2_000;
const REPORT_MS = 5_000;
/** A stream counts as full at this share of its limit. The rest is reserved for running tasks. */
const FULL_SHARE = 0.9;
/** A bucket with less room may not take the next record. */
const ROOM_OF_A_RECORD = 65_536;

/** Why a newly accepted task could not run. */
interface Faults {
  readonly full: string | undefined;
  readonly fullForSome: string | undefined;
  readonly other: string | undefined;
}

/**
 * Ensures the broker's streams and consumers, at the start and continuously, and re-creates lost ones. A lost stream's messages are gone, so
 * its loss is reported for some seconds before, in the log and as a fault.
 */
export class TopologyManager {
  readonly #options: TopologyOptions;
  readonly #streams: readonly StreamSpec[];
  readonly #consumers: readonly ConsumerSpec[];
  /** Lost streams, with the time of detection. */
  readonly #lost = new Map<string, number>();
  /** Optional streams that were unavailable at the start and still need their update. */
  readonly #outdated = new Set<string>();
  readonly #created = new Map<string, string>();
  readonly #listeners = new Set<(stream: string) => void>();
  readonly #stopping = new AbortController();
  #faults: Faults = { full: undefined, fullForSome: undefined, other: 'The streams have not been checked yet' };
  #stops: (() => void)[] = [];
  #forgetNext: (() => void) | undefined;
  #looking: Promise<void> | undefined;
  #again = false;

  constructor(options: TopologyOptions) {
    this.#options = options;
    this.#streams = streamSpecs(options.config);
    this.#consumers = consumerSpecs(options.config);
  }

  /** When a stream was created, as of the last check. */
  created(stream: string): string | undefined {
    return this.#created.get(stream);
  }

  /** Calls `listener` with the name of each stream that was replaced. */
  onAnother(listener: (stream: string) => void): void {
    this.#listeners.add(listener);
  }

  /** Why a task that is accepted now could not run, for another reason than room, as of the last look. */
  get fault(): string | undefined {
    return this.#faults.other;
  }

  /** Which stream has no room for further tasks. */
  get full(): string | undefined {
    return this.#faults.full;
  }

  /** Which bucket has no room for the record that some tasks need: those with an idempotency key, a new session name or a workspace. */
  get fullForSome(): string | undefined {
    return this.#faults.fullForSome;
  }

  /**
   * Creates or updates everything, and resolves when it is complete. It retries while servers of a new cluster elect leaders. Several
   * processes may do this at the same time. @throws the signal's reason.
   */
  async make(signal: AbortSignal): Promise<void> {
    const { broker, log } = this.#options;
    for (;;) {
      try {
        await this.#look(true);
        if (this.#faults.other === undefined) return;
      } catch (error) {
        log.warn({ err: error }, 'the streams and consumers cannot be created yet; retrying');
      }
      await sleep(broker.clock, RETRY_MS.start, signal);
    }
  }

  /** Starts to check them continuously. */
  watch(): void {
    const { broker } = this.#options;
    const [streams, consumers] = [new Set(this.#streams.map(({ name }) => name)), new Set(this.#consumers.map(nameOf))];
    const subscribe = (subject: string, ours: (tokens: string[]) => boolean): void => {
      const subscription = broker.nc.subscribe(subject, {
        callback: (_error, msg) => {
          if (ours(msg.subject.split('.').slice(TOKENS_BEFORE_NAMES))) this.#lookNow();
        },
      });
      this.#stops.push(() => subscription.unsubscribe());
    };
    subscribe(SUBJECT.streamGone, ([stream = '']) => streams.has(stream));
    subscribe(SUBJECT.consumerGone, ([stream = '', consumer = '']) => consumers.has(`${stream}.${consumer}`));
    this.#stops.push(broker.onConnection((connected) => connected && this.#lookNow()));
    this.#lookLater();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#forgetNext?.();
    for (const stop of this.#stops.splice(0)) stop();
    await this.#looking;
  }

  #lookLater(): void {
    if (this.#stopping.signal.aborted) return;
    this.#forgetNext = this.#options.broker.clock.after(LOOK_MS, () => this.#lookNow());
  }

  #lookNow(): void {
    this.#again = true;
    this.#looking ??= this.#lookWhileAsked().finally(() => {
      this.#looking = undefined;
      this.#lookLater();
    });
  }

  /** Never rejects. */
  async #lookWhileAsked(): Promise<void> {
    const { broker, log } = this.#options;
    this.#forgetNext?.();
    while (this.#again && !this.#stopping.signal.aborted) {
      this.#again = false;
      if (!broker.connected()) return;
      try {
        await this.#look(false);
      } catch (error) {
        this.#faults = { ...this.#faults, other: (error as Error).message };
        log.warn({ err: error }, 'the streams and consumers could not be checked; retrying');
      }
    }
  }

  /** @param update updates existing streams and consumers too. @throws {BrokerError} */
  async #look(update: boolean): Promise<void> {
    const { broker, log } = this.#options;
    const found = await Promise.all(
      this.#streams.map(async (spec) => {
        try {
          return { spec, info: await streamInfo(broker, spec.name) };
        } catch (error) {
          return { spec, error };
        }
      }),
    );
    const faults: (string | undefined)[] = [];
    const missing = new Set<string>();
    let [full, fullForSome]: (string | undefined)[] = [];
    // Sequentially: streams with replicas elect leaders.
    for (const { spec, info, error } of found) {
      const { name } = spec;
      try {
        if (error !== undefined) throw error;
        if (info === undefined) {
          const fault = await this.#makeStream(spec);
          if (fault !== undefined) missing.add(name);
          faults.push(fault);
          continue;
        }
        faults.push(this.#saw(spec, info));
        full ??= NEED_ROOM.includes(name) ? fullness(info, info.config.max_bytes * (1 - FULL_SHARE)) : undefined;
        fullForSome ??= NEED_RECORDS.includes(name) ? fullness(info, ROOM_OF_A_RECORD) : undefined;
        if (update || this.#outdated.has(name)) await updateStream(broker, spec, info, log);
        this.#outdated.delete(name);
      } catch (cause) {
        missing.add(name);
        if (isEssential(name)) {
          if (update) throw cause;
          faults.push((cause as Error).message);
        } else if (update) {
          log.warn({ err: cause, stream: name }, 'the stream is unavailable; it will be updated when it is available');
          this.#outdated.add(name);
        }
      }
    }
    await this.#lookAtConsumers(missing, update);
    this.#faults = { full, fullForSome, other: faults.find((fault) => fault !== undefined) };
  }

  #saw({ name }: StreamSpec, { created, cluster }: StreamInfo): string | undefined {
    const { known, log } = this.#options;
    this.#lost.delete(name);
    const another = this.#created.has(name) && this.#created.get(name) !== created;
    this.#created.set(name, created);
    if (known?.saw(name, created) === true)
      log.error({ stream: name }, 'the stream was re-created and is empty; its messages are lost');
    if (another) for (const listener of this.#listeners) listener(name);
    const led = cluster === undefined || (cluster.leader ?? '') !== '';
    return led || !isEssential(name) ? undefined : `The stream ${name} has no leader`;
  }

  /** @returns why the stream does not exist yet. @throws {BrokerError} */
  async #makeStream(spec: StreamSpec): Promise<string | undefined> {
    const { broker, known, reportMs = REPORT_MS } = this.#options;
    const { name } = spec;
    const lost = known?.has(name) === true;
    if (lost && !this.#isReported(name, reportMs))
      return `The stream ${name} is lost with its messages. It is re-created ${reportMs / 1_000} s after the loss was detected`;
    await makeStream(broker, spec, lost);
    const createdStream = await streamInfo(broker, name);
    return createdStream === undefined ? `The stream ${name} does not exist` : this.#saw(spec, createdStream);
  }

  /** Whether a loss has been reported for long enough. */
  #isReported(name: string, reportMs: number): boolean {
    const { broker, log } = this.#options;
    const now = broker.clock.monotonic();
    const since = this.#lost.get(name);
    if (since !== undefined) return now - since >= reportMs;
    log.error({ stream: name }, `the stream is lost with its messages; it is re-created in ${reportMs / 1_000} s`);
    this.#lost.set(name, now);
    // Buckets are re-created at once: every request that reads one fails without it.
    if (name.startsWith('KV_') || name.startsWith('OBJ_')) return true;
    broker.clock.after(reportMs, () => this.#stopping.signal.aborted || this.#again || this.#lookNow());
    return false;
  }

  /** @throws {BrokerError} */
  async #lookAtConsumers(missing: ReadonlySet<string>, update: boolean): Promise<void> {
    const { broker, log } = this.#options;
    for (const stream of new Set(this.#consumers.map((spec) => spec.stream))) {
      if (missing.has(stream)) continue;
      const names = await consumerNames(broker, stream);
      for (const spec of this.#consumers.filter((each) => each.stream === stream)) {
        const there = names.has(spec.consumer.durable_name);
        if (there && !update) continue;
        await ensureConsumer(broker, spec);
        if (!there && !update)
          log.warn({ stream, consumer: spec.consumer.durable_name }, 'the consumer was missing and was re-created');
      }
    }
  }
}

/** The length of an advisory's prefix: `$JS.EVENT.ADVISORY.STREAM.DELETED.`. */
const TOKENS_BEFORE_NAMES = 5;

const nameOf = ({ stream, consumer }: ConsumerSpec): string => `${stream}.${consumer.durable_name}`;

/** @param needed bytes that must be left. */
function fullness(
  { config: { name, max_bytes: max }, state: { bytes } }: StreamInfo,
  needed: number,
): string | undefined {
  if (max <= 0 || max - bytes > needed) return undefined;
  return `The stream ${name} is full: it holds ${bytes} of ${max} bytes. Raise its limit, or delete old tasks`;
}
