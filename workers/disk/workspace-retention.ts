import type { Logger } from 'pino';
import type { Config } from '../../contracts/config/config.js';
import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { retentionIntervalMs } from '../../contracts/retention/retention.js';
import type { Broker } from '../../src/broker/connect.js';
import { lastBySubject } from '../../src/broker/read.js';
import type { Folders } from '../claude/folders.js';

export interface WorkspaceRetentionOptions {
  readonly broker: Broker;
  readonly folders: Pick<Folders, 'sessions' | 'lastChange' | 'size' | 'retire'>;
  readonly config: Pick<Config, 'KSI_RETENTION' | 'KSI_RETENTION_WORKSPACES_S' | 'KSI_RETENTION_WORKSPACES_BYTES'>;
  readonly log: Logger;
}

/** A folder in recent use is not removed for its size. */
const MIN_IDLE_MS = 3_600_000;

/**
 * Removes the working folders of sessions that were not used for a long time, and the least recently used ones while their total size exceeds
 * the limit. The sessions stay. Every worker of a host runs this, because a removal is idempotent. The folders of KSI_WORKSPACES are never removed.
 */
export class WorkspaceRetention {
  readonly #options: WorkspaceRetentionOptions;
  readonly #intervalMs: number;
  readonly #stopping = new AbortController();
  #cancelNext: (() => void) | undefined;
  #running: Promise<unknown> = Promise.resolve();

  constructor(options: WorkspaceRetentionOptions) {
    this.#options = options;
    this.#intervalMs = retentionIntervalMs([options.config.KSI_RETENTION_WORKSPACES_S]);
  }

  start(): void {
    const { broker, config, log } = this.#options;
    const { KSI_RETENTION_WORKSPACES_S: age, KSI_RETENTION_WORKSPACES_BYTES: most } = config;
    if (config.KSI_RETENTION === 'off' || (age === 0 && most === 0)) return;
    this.#cancelNext = broker.clock.after(this.#intervalMs, () => {
      this.#running = this.sweep()
        .then((removed) => removed > 0 && log.info({ folders: removed }, 'removed unused working folders'))
        .catch((error: unknown) => log.warn({ err: error }, 'could not remove unused working folders; retrying'))
        .finally(() => (this.#stopping.signal.aborted ? undefined : this.start()));
    });
  }

  /** Resolves when no sweep is in progress. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#cancelNext?.();
    await this.#running;
  }

  /** @returns the number of removed folders @throws {BrokerError} */
  async sweep(): Promise<number> {
    const { broker, folders, config } = this.#options;
    const { KSI_RETENTION_WORKSPACES_S: age, KSI_RETENTION_WORKSPACES_BYTES: most } = config;
    const now = broker.clock.now();
    const kept: { id: string; used: number; bytes: number }[] = [];
    let removed = 0;
    for (const { sessionId: id } of await folders.sessions()) {
      if (this.#stopping.signal.aborted) return removed;
      const used = await this.#lastUse(id);
      if (age > 0 && used < now - age * 1_000) removed += await this.#retire(id);
      else kept.push({ id, used, bytes: most === 0 ? 0 : ((await folders.size(id)) ?? 0) });
    }
    let total = kept.reduce((sum, { bytes }) => sum + bytes, 0);
    for (const { id, used, bytes } of kept.toSorted((a, b) => a.used - b.used)) {
      if (total <= most || most === 0 || used > now - MIN_IDLE_MS || this.#stopping.signal.aborted) break;
      const retired = await this.#retire(id);
      removed += retired;
      total -= retired * bytes;
    }
    return removed;
  }

  /** In ms since 1970: the last change of the transcript, if it exists, or of the folder. */
  async #lastUse(sessionId: string): Promise<number> {
    const { broker, folders } = this.#options;
    const last = await lastBySubject(broker, STREAM.transcripts, SUBJECT.transcript(sessionId));
    return Math.max(last?.time() ?? 0, await folders.lastChange(sessionId));
  }

  async #retire(sessionId: string): Promise<number> {
    const { broker, folders } = this.#options;
    const isFree = async (): Promise<boolean> =>
      (await lastBySubject(broker, STREAM.commands, SUBJECT.session(sessionId))) === undefined;
    return (await isFree()) && (await folders.retire(sessionId, isFree)) ? 1 : 0;
  }
}
