import type { Msg } from '@nats-io/transport-node';
import type { Logger } from 'pino';
import { check } from '../../../contracts/wire/check.js';
import { FORMAT_VERSION, SUBJECT } from '../../../contracts/wire/names.js';
import { RateReport, type RateCount } from '../../../contracts/access/rates.js';
import type { Broker } from '../../broker/connect.js';
import { parseJson } from '../../json.js';
import type { RateCounts } from './counts.js';

/** No API tells the others more often. */
export const REPORT_MS = 200;
/** Counts in a message: far below the broker's limit. */
const MAX_COUNTS = 1_000;

/**
 * Tells the other APIs what this one took, and hears from them: at once after a pause, then every 200 ms as long as more is taken.
 * Nobody waits for it, and an idle API sends nothing.
 */
export class RateExchange {
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
        if (error === null) this.#hear(message);
        else this.#log.error({ err: error }, 'what other APIs took is not heard; each counts for itself');
      },
    });
    this.#stopListening = [
      () => subscription.unsubscribe(),
      // What was told meanwhile, by either side, is lost.
      this.#broker.onConnection((connected) => {
        if (connected) this.#send(this.#counts.all(this.#broker.clock.now()), true);
      }),
    ];
    this.#send([], true);
  }

  async stop(): Promise<void> {
    // The others keep it for an API that is started again.
    if (this.#stopListening.length > 0) this.#tell();
    this.#forgetNext?.();
    for (const stop of this.#stopListening.splice(0)) stop();
  }

  /** To be called after something was taken. */
  taken(): void {
    if (this.#forgetNext === undefined) this.#tell();
  }

  #tell(): void {
    this.#forgetNext?.();
    this.#forgetNext = undefined;
    // Told when the connection is back.
    if (!this.#broker.connected()) return;
    const counts = this.#counts.tell(this.#broker.clock.now());
    if (counts.length === 0) return;
    this.#send(counts, false);
    this.#forgetNext = this.#broker.clock.after(REPORT_MS, () => this.#tell());
  }

  #hear({ data }: Msg): void {
    const report = check(RateReport, parseJson(data));
    if (!report.ok) return this.#log.warn('a report of rates that is none was passed over');
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
      // Each API then counts for itself, which is no reason to refuse a spawn.
      this.#log.warn({ err: error }, 'the other APIs could not be told what was taken');
    }
  }
}
