import type { Logger } from 'pino';
import { FORMAT_VERSION, SUBJECT } from '../../contracts/wire/names.js';
import type { AuditEntry } from '../../contracts/access/audit.js';
import type { Broker } from '../broker/connect.js';
import { isTransient } from '../broker/errors.js';
import type { Publication } from '../broker/publish.js';
import { sleep, timestampOf } from '../clock.js';
import { RETRY_MS } from '../retry.js';
import { uuidv7 } from '../uuid.js';

/** The maximum number of entries that wait for the broker. Nothing can change without it, so these entries are refusals. */
const MAX_WAITING = 10_000;
/** Entries of one owner and operation that are recorded within this time share a message (ADR 63). */
const GATHER_MS = 20;
/** Far below the broker's limit for a message, with entries of the usual few hundred bytes. */
const MAX_ENTRIES = 200;

/** Writes the audit log to KSI_AUDIT. Requests do not wait for it; entries wait for the broker in memory. */
export class Audit {
  readonly #publisher: Broker['publisher'];
  readonly #clock: Broker['clock'];
  readonly #log: Logger;
  /** Gathered entries by subject. */
  #gathered = new Map<string, AuditEntry[]>();
  #waiting = 0;
  readonly #stores = new Set<Promise<void>>();
  readonly #stopping = new AbortController();

  constructor({ publisher, clock }: Pick<Broker, 'publisher' | 'clock'>, log: Logger) {
    this.#publisher = publisher;
    this.#clock = clock;
    this.#log = log;
  }

  record(entry: Omit<AuditEntry, 'v' | 'id' | 'at'>): void {
    const whole: AuditEntry = { v: FORMAT_VERSION, id: uuidv7(), at: timestampOf(this.#clock), ...entry };
    if (this.#waiting >= MAX_WAITING) {
      this.#log.error({ audit: whole }, 'too many audit entries wait for the broker; this entry is only in this log');
      return;
    }
    this.#waiting++;
    const subject = SUBJECT.audit(entry.owner, entry.verb);
    const entries = this.#gathered.get(subject) ?? [];
    if (this.#gathered.size === 0) this.#clock.after(GATHER_MS, () => this.#flush());
    this.#gathered.set(subject, entries);
    if (entries.push(whole) === MAX_ENTRIES || this.#stopping.signal.aborted) this.#flush();
  }

  /** Resolves when all entries are stored, or logged because they could not be stored. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#flush();
    await Promise.all(this.#stores);
  }

  #flush(): void {
    for (const [subject, entries] of this.#gathered) {
      const stored = this.#store(subject, entries).finally(() => {
        this.#stores.delete(stored);
        this.#waiting -= entries.length;
      });
      this.#stores.add(stored);
    }
    this.#gathered = new Map();
  }

  async #store(subject: string, entries: readonly AuditEntry[]): Promise<void> {
    const publication: Publication = {
      subject,
      payload: entries.map((entry) => JSON.stringify(entry)).join('\n'),
      msgId: entries[0]?.id,
    };
    for (;;) {
      try {
        await this.#publisher.publish(publication);
        return;
      } catch (error) {
        if (!isTransient(error) || this.#stopping.signal.aborted) {
          for (const audit of entries)
            this.#log.error({ err: error, audit }, 'could not store an audit entry; it is only in this log');
          return;
        }
      }
      await sleep(this.#clock, RETRY_MS.background, this.#stopping.signal).catch(() => undefined); // Stopping: one last attempt.
    }
  }
}
