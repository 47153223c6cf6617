import type { Logger } from 'pino';
import type { LeftOver } from '../../contracts/tasks/workers.js';
import type { Clock } from '../../src/clock.js';
import type { Left } from '../claude/remove.js';

const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 60_000;

interface Removal {
  /** What the folder was. */
  readonly of: Pick<LeftOver, 'slot' | 'session_id'>;
  readonly remove: () => Promise<Left[]>;
  left: Left[];
  /** Called once nothing is left. */
  readonly onClean: (() => void) | undefined;
}

export interface RemoveOptions {
  /** Called when something stays. @returns what to call once nothing is left. */
  readonly onLeft?: () => () => void;
}

/** Removes what runs have left on the disk. What cannot be removed is shown, and tried again until it is gone. */
export class Removals {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #onChange: () => void;
  readonly #pending = new Map<string, Removal>();
  readonly #underWay = new Map<string, Promise<Left[]>>();
  #retryMs = FIRST_RETRY_MS;
  #cancelRetry: (() => void) | undefined;
  #stopped = false;

  /** @param onChange called when `left` has changed. */
  constructor(clock: Clock, log: Logger, onChange: () => void) {
    this.#clock = clock;
    this.#log = log;
    this.#onChange = onChange;
  }

  /** What could not be removed so far. */
  get left(): LeftOver[] {
    return [...this.#pending.values()].flatMap(({ of, left }) => left.map((each) => ({ ...of, ...each })));
  }

  /**
   * Asked for the same again while it is at it, it does it once.
   * @param of also the identity: one removal per slot, session or path.
   * @returns what is left for now. Never rejects.
   */
  remove(
    of: Removal['of'] & { readonly path?: string },
    remove: () => Promise<Left[]>,
    { onLeft }: RemoveOptions = {},
  ): Promise<Left[]> {
    const { path: _path, ...shown } = of;
    return this.#once(JSON.stringify(of), shown, remove, onLeft);
  }

  /** Tries nothing again. Resolves when nothing is under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelRetry?.();
    await Promise.all(this.#underWay.values());
  }

  #once(
    key: string,
    of: Removal['of'],
    remove: () => Promise<Left[]>,
    onLeft?: RemoveOptions['onLeft'],
  ): Promise<Left[]> {
    const removing =
      this.#underWay.get(key) ?? this.#remove(key, of, remove, onLeft).finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, removing);
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
      this.#log.info({ ...of }, 'what a run had left is removed now');
      before.onClean?.();
    } else if (before === undefined) {
      this.#log.error(
        { ...of, left },
        'what a run has left cannot be removed; it is tried again (is a file immutable? lsattr)',
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
      this.#retryMs = Math.min(LONGEST_RETRY_MS, 2 * this.#retryMs);
      for (const [key, { of, remove }] of this.#pending) void this.#once(key, of, remove);
    });
  }
}
