import type { JetStreamManager } from '@nats-io/jetstream';
import type { Logger } from 'pino';
import { STREAM } from '../../contracts/wire/names.js';
import { sleep, type Clock } from '../clock.js';
import { RETRY_MS } from '../retry.js';

/** A clock whose `now()` is the broker's time, which all hosts share (ADR 33). */
export interface SharedClock extends Clock {
  /** Resolves when the broker's time is known. Before that, `now()` throws. @throws the signal's reason. */
  known(signal?: AbortSignal): Promise<void>;
  /** By how many ms this machine's clock is ahead of the broker's. */
  ahead(): number;
}

/** Local clocks drift by about 1 ms in this time. It also bounds how late a change of leader or of the broker's clock is noticed. */
const MEASURE_MS = 15_000;
/** The error of a measurement is up to half of the round trip. Slower answers are ignored. */
const MAX_ROUND_TRIP_MS = 2_000;
const WARN_MS = 1_000;

/** The offset from `monotonic()` to the broker's time. @param ts the broker's time, read between `requestedAt` and `answeredAt`. */
export const offsetOf = (requestedAt: number, ts: number, answeredAt: number): number =>
  ts - (requestedAt + answeredAt) / 2;

/**
 * Measures the time of the leader of KSI_COMMANDS, and follows the monotonic clock between measurements. Steps of this machine's wall
 * clock have no effect.
 */
export class BrokerClock implements SharedClock {
  readonly #streams: Pick<JetStreamManager['streams'], 'info'>;
  readonly #machine: Clock;
  readonly #log: Logger;
  readonly #stopping = new AbortController();
  #offset: number | undefined;
  #measuring: Promise<boolean> | undefined;
  #forgetNext: (() => void) | undefined;
  #warned = false;

  constructor(streams: Pick<JetStreamManager['streams'], 'info'>, machine: Clock, log: Logger) {
    this.#streams = streams;
    this.#machine = machine;
    this.#log = log;
  }

  /** Whole ms, for use in dates. */
  now(): number {
    if (this.#offset === undefined) throw new Error("the broker's time is not known yet");
    return Math.round(this.monotonic() + this.#offset);
  }

  monotonic(): number {
    return this.#machine.monotonic();
  }

  after(ms: number, call: () => void): () => void {
    return this.#machine.after(ms, call);
  }

  deadline(ms: number): AbortSignal {
    return this.#machine.deadline(ms);
  }

  ahead(): number {
    return Math.round(this.#machine.now() - this.now());
  }

  async known(signal?: AbortSignal): Promise<void> {
    const stop = signal === undefined ? this.#stopping.signal : AbortSignal.any([signal, this.#stopping.signal]);
    while (this.#offset === undefined) {
      stop.throwIfAborted();
      if (!(await this.#measure())) await sleep(this.#machine, RETRY_MS.start, stop);
    }
    this.#forgetNext ??= this.after(MEASURE_MS, () => this.again());
  }

  /** Measures now, if `known` was called before: after a reconnect the leader may be another server. */
  again(): void {
    if (this.#offset === undefined || this.#stopping.signal.aborted) return;
    void this.#remeasure();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#forgetNext?.();
    await this.#measuring;
  }

  async #remeasure(): Promise<void> {
    this.#forgetNext?.();
    const measured = await this.#measure();
    this.#forgetNext?.();
    if (!this.#stopping.signal.aborted)
      this.#forgetNext = this.after(measured ? MEASURE_MS : RETRY_MS.start, () => this.again());
  }

  #measure(): Promise<boolean> {
    this.#measuring ??= this.#ask().finally(() => (this.#measuring = undefined));
    return this.#measuring;
  }

  /** @returns whether the broker gave a usable answer. Never rejects. */
  async #ask(): Promise<boolean> {
    const requestedAt = this.monotonic();
    try {
      const { ts } = await this.#streams.info(STREAM.commands);
      const answeredAt = this.monotonic();
      const offset = offsetOf(requestedAt, Date.parse(String(ts)), answeredAt);
      if (answeredAt - requestedAt > MAX_ROUND_TRIP_MS || Number.isNaN(offset)) return false;
      // Slow answers are imprecise. Keep the offset while it is within this answer's error.
      if (Math.abs(offset - (this.#offset ?? Infinity)) > (answeredAt - requestedAt) / 2) this.#offset = offset;
    } catch (error) {
      this.#log.debug({ err: error }, "the broker's time could not be read; trying again");
      return false;
    }
    this.#warn();
    return true;
  }

  #warn(): void {
    const ahead = this.ahead();
    const wrong = Math.abs(ahead) > WARN_MS;
    if (wrong && !this.#warned)
      this.#log.warn(
        { ahead_ms: ahead },
        "this machine's clock differs from the broker's; KSI uses the broker's. Synchronize all clocks with NTP",
      );
    this.#warned = wrong;
  }
}
