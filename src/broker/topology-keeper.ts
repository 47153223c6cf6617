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
  /** Without it a stream that is not there is made at once. */
  readonly known?: KnownStreams | undefined;
  /** How long a lost stream is reported before it is made anew. */
  readonly reportMs?: number | undefined;
  readonly log: Logger;
}

const LOOK_MS = 2_000;
const REPORT_MS = 5_000;
/** What is left is for tasks under way. */
const FULL = 0.9;
/** A bucket with less room may not take the next record. */
const ROOM_OF_A_RECORD = 65_536;

/** Why a task that is accepted now could not run. */
interface Faults {
  readonly full: string | undefined;
  readonly fullForSome: string | undefined;
  readonly other: string | undefined;
}

/**
 * Keeps the broker's streams and consumers as the contract has them, at the start and from then on. What disappears is made again. A stream takes
 * what it held with it, so its loss is first reported, in the log and as a fault, for some seconds.
 */
export class TopologyKeeper {
  readonly #options: TopologyOptions;
  readonly #streams: readonly StreamSpec[];
  readonly #consumers: readonly ConsumerSpec[];
  /** Lost streams, and when their loss was found. */
  readonly #lost = new Map<string, number>();
  /** Streams that were not available at the start, which does not wait for those that are not essential. */
  readonly #outdated = new Set<string>();
  readonly #created = new Map<string, string>();
  readonly #listeners = new Set<(stream: string) => void>();
  readonly #stopping = new AbortController();
  #faults: Faults = { full: undefined, fullForSome: undefined, other: 'the streams have not been looked at yet' };
  #stops: (() => void)[] = [];
  #forgetNext: (() => void) | undefined;
  #looking: Promise<void> | undefined;
  #again = false;

  constructor(options: TopologyOptions) {
    this.#options = options;
    this.#streams = streamSpecs(options.config);
    this.#consumers = consumerSpecs(options.config);
  }

  /** When a stream was made, as of the last look. */
  created(stream: string): string | undefined {
    return this.#created.get(stream);
  }

  /** Calls `listener` with the name of each stream that turns out to be another one than before. */
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
   * Resolves once everything is there and as its specification says. Servers that have just met elect leaders first. Several processes may
   * do it at once. @throws the signal's reason.
   */
  async make(signal: AbortSignal): Promise<void> {
    const { broker, log } = this.#options;
    for (;;) {
      try {
        await this.#look(true);
        if (this.#faults.other === undefined) return;
      } catch (error) {
        log.warn({ err: error }, 'the streams cannot be made yet; trying again');
      }
      await sleep(broker.clock, RETRY_MS.start, signal);
    }
  }

  /** Keeps them from now on. */
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
        log.warn({ err: error }, 'the streams and consumers could not be looked at; trying again');
      }
    }
  }

  /** @param update also brings what is there up to date. @throws {BrokerError} */
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
    // One after the other: streams with replicas elect leaders.
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
        full ??= NEED_ROOM.includes(name) ? fullness(info, info.config.max_bytes * (1 - FULL)) : undefined;
        fullForSome ??= NEED_RECORDS.includes(name) ? fullness(info, ROOM_OF_A_RECORD) : undefined;
        if (update || this.#outdated.has(name)) await updateStream(broker, spec, info, log);
        this.#outdated.delete(name);
      } catch (cause) {
        missing.add(name);
        if (isEssential(name)) {
          if (update) throw cause;
          faults.push((cause as Error).message);
        } else if (update) {
          log.warn({ err: cause, stream: name }, 'the stream is not available; it is brought up to date once it is');
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
      log.error({ stream: name }, 'the stream is made anew, and empty: what it held before is lost');
    if (another) for (const listener of this.#listeners) listener(name);
    const led = cluster === undefined || (cluster.leader ?? '') !== '';
    return led || !isEssential(name) ? undefined : `The stream ${name} has no leader`;
  }

  /** @returns why it is not made yet. @throws {BrokerError} */
  async #makeStream(spec: StreamSpec): Promise<string | undefined> {
    const { broker, known, reportMs = REPORT_MS } = this.#options;
    const { name } = spec;
    const lost = known?.has(name) === true;
    if (lost && !this.#isReported(name, reportMs))
      return `The stream ${name} is lost, with what it held; it is made anew ${reportMs / 1_000} s after the loss was found`;
    await makeStream(broker, spec, lost);
    const made = await streamInfo(broker, name);
    return made === undefined ? `The stream ${name} is not there` : this.#saw(spec, made);
  }

  /** Whether a loss has been reported for long enough. */
  #isReported(name: string, reportMs: number): boolean {
    const { broker, log } = this.#options;
    const now = broker.clock.monotonic();
    const since = this.#lost.get(name);
    if (since !== undefined) return now - since >= reportMs;
    log.error({ stream: name }, `the stream is lost, with what it held; it is made anew in ${reportMs / 1_000} s`);
    this.#lost.set(name, now);
    // A bucket's entries are looked up, not waited for: without it nothing works that it serves.
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
          log.warn({ stream, consumer: spec.consumer.durable_name }, 'the consumer was gone, and is made again');
      }
    }
  }
}

/** Of an advisory's subject: `$JS.EVENT.ADVISORY.STREAM.DELETED.`. */
const TOKENS_BEFORE_NAMES = 5;

const nameOf = ({ stream, consumer }: ConsumerSpec): string => `${stream}.${consumer.durable_name}`;

/** @param needed bytes that must be left. */
function fullness(
  { config: { name, max_bytes: most }, state: { bytes } }: StreamInfo,
  needed: number,
): string | undefined {
  if (most <= 0 || most - bytes > needed) return undefined;
  return `The stream ${name} is full: it holds ${bytes} of ${most} bytes`;
}
