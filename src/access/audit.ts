import type { Logger } from 'pino';
import { v7 as uuidv7 } from 'uuid';
import { FORMAT_VERSION, SUBJECT } from '../../contracts/wire/names.js';
import type { AuditEntry } from '../../contracts/access/audit.js';
import type { Broker } from '../broker/connect.js';
import { isTransient } from '../broker/errors.js';
import { Batcher } from '../broker/batcher.js';
import { sleep, timestampOf } from '../clock.js';
import { RETRY_MS } from '../retry.js';

/** The maximum number of entries that wait for the broker. Nothing can change without it, so these entries are refusals. */
const MAX_WAITING = 10_000;

/** Writes the audit log to KSI_AUDIT. Requests do not wait for it; entries wait for the broker in memory. */
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
      this.#log.error({ audit: whole }, 'too many audit entries wait for the broker; this entry is only in this log');
      return;
    }
    const stored = this.#store(whole).finally(() => this.#pending.delete(stored));
    this.#pending.add(stored);
  }

  /** Resolves when all entries are stored, or logged because they could not be stored. */
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
          this.#log.error({ err: error, audit: entry }, 'could not store an audit entry; it is only in this log');
          return;
        }
      }
      await sleep(this.#clock, RETRY_MS.background, this.#stopping.signal).catch(() => undefined); // Stopping: one last attempt.
    }
  }
}
