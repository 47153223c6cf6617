import type { Logger } from 'pino';
import type { LeftoverFolder } from '../../contracts/tasks/workers.js';
import type { Clock } from '../../src/clock.js';
import type { Left } from '../claude/remove.js';

const FIRST_RETRY_MS = 1_000;
const MAX_RETRY_MS = 60_000;

interface Removal {
  /** What the files belong to. */
  readonly of: Pick<LeftoverFolder, 'slot' | 'session_id'>;
  readonly remove: () => Promise<Left[]>;
  left: Left[];
  /** Called when nothing is left. */
  readonly onClean: (() => void) | undefined;
}

export interface RemoveOptions {
  /** Called when something could not be removed. @returns a function to call when nothing is left */
  readonly onLeft?: () => () => void;
}

/** Removes files that runs left. Lists what could not be removed, and retries with backoff until it is gone. */
export class LeftoverRemoval {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #onChange: () => void;
  readonly #pending = new Map<string, Removal>();
  readonly #inProgress = new Map<string, Promise<Left[]>>();
  #retryMs = FIRST_RETRY_MS;
  #cancelRetry: (() => void) | undefined;
  #stopped = false;

  /** @param onChange called when `left` may have changed */
  constructor(clock: Clock, log: Logger, onChange: () => void) {
    this.#clock = clock;
    this.#log = log;
    this.#onChange = onChange;
  }

  /** Everything that could not be removed yet. */
  get left(): LeftoverFolder[] {
    return [...this.#pending.values()].flatMap(({ of, left }) => left.map((each) => ({ ...of, ...each })));
  }

  /**
   * Calls `remove`. Concurrent calls with the same `of` share one removal.
   * @param of the slot, session or path. Identifies the removal
   * @returns what could not be removed yet. Never rejects
   */
  remove(
    of: Removal['of'] & { readonly path?: string },
    remove: () => Promise<Left[]>,
    { onLeft }: RemoveOptions = {},
  ): Promise<Left[]> {
    const { path: _path, ...shown } = of;
    return this.#once(JSON.stringify(of), shown, remove, onLeft);
  }

  /** Ends the retries. Resolves when no removal is in progress. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelRetry?.();
    await Promise.all(this.#inProgress.values());
  }

  #once(
    key: string,
    of: Removal['of'],
    remove: () => Promise<Left[]>,
    onLeft?: RemoveOptions['onLeft'],
  ): Promise<Left[]> {
    const removing =
      this.#inProgress.get(key) ?? this.#remove(key, of, remove, onLeft).finally(() => this.#inProgress.delete(key));
    this.#inProgress.set(key, removing);
    return removing;
  }

  async #remove(
    key: string,
    of: Removal['of'],
    remove: () => Promise<Left[]>,
    onLeft: RemoveOptions['onLeft'],
  ): Promise<Left[]> {
    const left = await remove();
    const before = this.#pending.get(key);
    if (left.length === 0) {
      if (before === undefined) return left;
      this.#pending.delete(key);
      this.#log.info({ ...of }, 'removed the files that a run had left');
      before.onClean?.();
    } else if (before === undefined) {
      this.#log.error(
        { ...of, left },
        'could not remove files that a run left; retrying (if a file is immutable, see lsattr)',
      );
      this.#pending.set(key, { of, remove, left, onClean: onLeft?.() });
      this.#retryMs = FIRST_RETRY_MS;
    } else {
      before.left = left;
    }
    this.#retryLater();
    this.#onChange();
    return left;
  }

  #retryLater(): void {
    if (this.#stopped || this.#pending.size === 0) return;
    this.#cancelRetry ??= this.#clock.after(this.#retryMs, () => {
      this.#cancelRetry = undefined;
      this.#retryMs = Math.min(MAX_RETRY_MS, 2 * this.#retryMs);
      for (const [key, { of, remove }] of this.#pending) void this.#once(key, of, remove);
    });
  }
}
