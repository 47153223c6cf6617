import type { Msg } from '@nats-io/transport-node';
import type { Logger } from 'pino';
import { check } from '../../../contracts/wire/check.js';
import { FORMAT_VERSION, SUBJECT } from '../../../contracts/wire/names.js';
import { RateReport, type RateCount } from '../../../contracts/access/rates.js';
import type { Broker } from '../../broker/connect.js';
import { parseJson } from '../../json.js';
import type { RateCounts } from './counts.js';

/** The minimum interval between an API's reports. */
export const REPORT_MS = 200;
/** Counts per message, which keeps it far below the broker's size limit. */
const MAX_COUNTS = 1_000;

/**
 * Reports this API's counts to the other APIs and merges theirs. The first spawn after a pause is reported at once, later ones every
 * 200 ms. No spawn waits for a report, and an idle API sends none.
 */
export class RateGossip {
  readonly #self: string;
  readonly #counts: Pick<RateCounts, 'hear' | 'tell' | 'all'>;
  readonly #broker: Pick<Broker, 'nc' | 'clock' | 'connected' | 'onConnection'>;
  readonly #log: Logger;
  #forgetNext: (() => void) | undefined;
  #stopListening: (() => void)[] = [];

  /** @param self the name of this API in `counts`. */
  constructor(
    self: string,
    counts: Pick<RateCounts, 'hear' | 'tell' | 'all'>,
    broker: Pick<Broker, 'nc' | 'clock' | 'connected' | 'onConnection'>,
    log: Logger,
  ) {
    this.#self = self;
    this.#counts = counts;
    this.#broker = broker;
    this.#log = log;
  }

  start(): void {
    const subscription = this.#broker.nc.subscribe(SUBJECT.apiRates, {
      callback: (error, message) => {
        if (error === null) this.#onReport(message);
        else
          this.#log.error(
            { err: error },
            'cannot receive the spawn counts of other APIs; each API applies the rate limit by itself',
          );
      },
    });
    this.#stopListening = [
      () => subscription.unsubscribe(),
      // Reports during the disconnect were lost in both directions.
      this.#broker.onConnection((connected) => {
        if (connected) this.#send(this.#counts.all(this.#broker.clock.now()), true);
      }),
    ];
    this.#send([], true);
  }

  async stop(): Promise<void> {
    // The other APIs keep the counts and send them to this API after a restart.
    if (this.#stopListening.length > 0) this.#publish();
    this.#forgetNext?.();
    for (const stop of this.#stopListening.splice(0)) stop();
  }

  /** Call it after each counted spawn. */
  taken(): void {
    if (this.#forgetNext === undefined) this.#publish();
  }

  #publish(): void {
    this.#forgetNext?.();
    this.#forgetNext = undefined;
    // `onConnection` reports all counts after the reconnect.
    if (!this.#broker.connected()) return;
    const counts = this.#counts.tell(this.#broker.clock.now());
    if (counts.length === 0) return;
    this.#send(counts, false);
    this.#forgetNext = this.#broker.clock.after(REPORT_MS, () => this.#publish());
  }

  #onReport({ data }: Msg): void {
    const report = check(RateReport, parseJson(data));
    if (!report.ok) return this.#log.warn('ignored a malformed report of spawn counts');
    const now = this.#broker.clock.now();
    this.#counts.hear(report.value.counts, now);
    const { asks } = report.value;
    if (asks === undefined || asks === this.#self) return;
    const known = this.#counts.all(now);
    if (known.length > 0) this.#send(known, false);
  }

  #send(counts: readonly RateCount[], asks: boolean): void {
    const pages = Array.from({ length: Math.max(1, Math.ceil(counts.length / MAX_COUNTS)) }, (_, page) =>
      counts.slice(page * MAX_COUNTS, (page + 1) * MAX_COUNTS),
    );
    try {
      for (const [page, some] of pages.entries()) {
        const report: RateReport = {
          v: FORMAT_VERSION,
          counts: some,
          ...(asks && page === 0 ? { asks: this.#self } : {}),
        };
        this.#broker.nc.publish(SUBJECT.apiRates, JSON.stringify(report));
      }
    } catch (error) {
      // Each API then applies the limit by itself. That is better than refusing spawns.
      this.#log.warn({ err: error }, 'could not report spawn counts to the other APIs');
    }
  }
}
