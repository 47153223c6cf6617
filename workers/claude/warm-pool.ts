import type { Options } from '@anthropic-ai/claude-agent-sdk';
import type { Logger } from 'pino';
import type { SlotFolders } from './folders.js';
import { WarmClaude, type WarmOptions } from './warm.js';

export interface WarmPoolOptions extends Omit<WarmOptions, 'folders'> {
  /** How many processes wait. */
  readonly count: number;
  /** Creates new, unused folders for a process. */
  readonly place: () => Promise<{ readonly folders: SlotFolders; readonly clear: () => Promise<void> }>;
  readonly log: Logger;
}

/** The delay until a taken process is replaced. The taken process starts its task in that time. */
const REPLACE_MS = 500;
/** The delay after a process could not be started. */
const RETRY_MS = 30_000;

/** Keeps warm Claude processes ready for future tasks. */
export class WarmPool {
  readonly #options: WarmPoolOptions;
  readonly #waiting: WarmClaude[] = [];
  #starting: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: WarmPoolOptions) {
    this.#options = options;
  }

  /** How many processes are waiting now. */
  get waiting(): number {
    return this.#waiting.filter((warm) => !warm.dead).length;
  }

  start(): void {
    this.#fillLater(0);
  }

  /**
   * Takes a process that fits a task. The caller owns it from then on. Undefined: no process fits.
   * @param renews the task may have to renew the operator's login.
   */
  take(options: Options, renews = false): WarmClaude | undefined {
    const fits = (warm: WarmClaude): boolean =>
      !warm.dead && warm.fits(options) && (!renews || warm.folders.login?.writable === true);
    const at = this.#waiting.findIndex(fits);
    if (at === -1) return undefined;
    const [taken] = this.#waiting.splice(at, 1);
    this.#fillLater(REPLACE_MS);
    return taken;
  }

  /** Ends all processes. Resolves when none is left. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#starting;
    await Promise.all(this.#waiting.splice(0).map((warm) => warm.close()));
  }

  #fillLater(ms: number): void {
    if (this.#stopped || this.#options.count === 0) return;
    this.#timer ??= setTimeout(() => {
      this.#starting = this.#fill().finally(() => {
        this.#starting = undefined;
      });
    }, ms);
  }

  /** Never rejects. */
  async #fill(): Promise<void> {
    const { count, place, log, ...options } = this.#options;
    let failed = false;
    try {
      while (!this.#stopped && this.#waiting.length < count) {
        const { folders, clear } = await place();
        const warm = await WarmClaude.start({ ...options, folders });
        this.#waiting.push(warm);
        void warm.process.exited.then(() => this.#onExit(warm, clear));
      }
    } catch (error) {
      failed = true;
      log.warn({ err: error }, 'could not start a warm process; tasks start their own');
    }
    this.#timer = undefined;
    if (failed) this.#fillLater(RETRY_MS);
  }

  /** Never rejects. */
  async #onExit(warm: WarmClaude, clear: () => Promise<void>): Promise<void> {
    const { log } = this.#options;
    await clear().catch((error: unknown) => log.warn({ err: error }, 'could not remove the folder of a warm process'));
    const at = this.#waiting.indexOf(warm);
    if (at === -1) return;
    this.#waiting.splice(at, 1);
    log.warn('a warm process has ended');
    this.#fillLater(RETRY_MS);
  }
}
