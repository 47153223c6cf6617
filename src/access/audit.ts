import type { Logger } from 'pino';
import { v7 as uuidv7 } from 'uuid';
import { FORMAT_VERSION, SUBJECT } from '../../contracts/wire/names.js';
import type { AuditEntry } from '../../contracts/access/audit.js';
import type { Broker } from '../broker/connect.js';
import { isTransient } from '../broker/errors.js';
import { Batcher } from '../broker/batcher.js';
import { timestampOf } from '../clock.js';

/** So many entries wait for a broker that is away; while it is, nothing can be changed, so they are refusals. */
const MAX_WAITING = 10_000;
const RETRY_MS = 1_000;

/** Keeps who changed what, with what result, in KSI_AUDIT. Nobody waits for it; it waits for the broker. */
export class Audit {
  readonly #batcher: Batcher;
  readonly #clock: Broker['clock'];
  readonly #log: Logger;
  readonly #pending = new Set<Promise<void>>();
  readonly #stopping = new AbortController();

  constructor(broker: Broker, log: Logger) {
    this.#batcher = new Batcher(broker.publisher);
    this.#clock = broker.clock;
    this.#log = log;
  }

  record(entry: Omit<AuditEntry, 'v' | 'id' | 'at'>): void {
    const whole: AuditEntry = { v: FORMAT_VERSION, id: uuidv7(), at: timestampOf(this.#clock), ...entry };
    if (this.#pending.size >= MAX_WAITING) {
      this.#log.error({ audit: whole }, 'the audit stream cannot be written; this entry stands only here');
      return;
    }
    const stored = this.#store(whole).finally(() => this.#pending.delete(stored));
    this.#pending.add(stored);
  }

  /** Resolves when all is stored, or logged as it could not be. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#pending);
  }

  async #store(entry: AuditEntry): Promise<void> {
    const publication = {
      subject: SUBJECT.audit(entry.owner, entry.verb),
      payload: JSON.stringify(entry),
      msgId: entry.id,
    };
    for (;;) {
      try {
        await this.#batcher.publish(publication);
        return;
      } catch (error) {
        if (!isTransient(error) || this.#stopping.signal.aborted) {
          this.#log.error({ err: error, audit: entry }, 'the audit stream refused an entry; it stands only here');
          return;
        }
      }
      await this.#pause();
    }
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const { signal } = this.#stopping;
      const end = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', end);
        resolve();
      };
      const timer = setTimeout(end, RETRY_MS);
      signal.addEventListener('abort', end);
    });
  }
}
