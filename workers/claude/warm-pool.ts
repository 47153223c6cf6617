import type { Options } from '@anthropic-ai/claude-agent-sdk';
import type { Logger } from 'pino';
import type { SlotFolders } from './folders.js';
import { WarmClaude, type WarmOptions } from './warm.js';

export interface WarmPoolOptions extends Omit<WarmOptions, 'folders'> {
  /** How many wait. */
  readonly count: number;
  /** Makes a place for one, that nothing else has had. */
  readonly place: () => Promise<{ readonly folders: SlotFolders; readonly clear: () => Promise<void> }>;
  readonly log: Logger;
}

/** Until one takes the place of another: the one that was taken has its task to begin. */
const REPLACE_MS = 500;
/** After one that could not be started. */
const RETRY_MS = 30_000;

/** Keeps processes of Claude started for tasks that are still to come. */
export class WarmPool {
  readonly #options: WarmPoolOptions;
  readonly #waiting: WarmClaude[] = [];
  #starting: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: WarmPoolOptions) {
    this.#options = options;
  }

  /** How many wait now. */
  get waiting(): number {
    return this.#waiting.filter((warm) => !warm.dead).length;
  }

  start(): void {
    this.#fillLater(0);
  }

  /**
   * One that can do what a task asks for, which is the caller's from now on; undefined: there is none.
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

  /** Resolves when none is left. */
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
        void warm.process.exited.then(() => this.#gone(warm, clear));
      }
    } catch (error) {
      failed = true;
      log.warn({ err: error }, 'no process of Claude could be started for tasks to come; they start their own');
    }
    this.#timer = undefined;
    if (failed) this.#fillLater(RETRY_MS);
  }

  /** Never rejects. */
  async #gone(warm: WarmClaude, clear: () => Promise<void>): Promise<void> {
    const { log } = this.#options;
    await clear().catch((error: unknown) => log.warn({ err: error }, 'the folder of a process of Claude is left'));
    const at = this.#waiting.indexOf(warm);
    if (at === -1) return;
    this.#waiting.splice(at, 1);
    log.warn('a process of Claude that waited for a task is gone');
    this.#fillLater(RETRY_MS);
  }
}
