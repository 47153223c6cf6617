import { MAX_DEPTH } from '../../contracts/agents/tools.js';

const DEPTHS = Array.from({ length: MAX_DEPTH + 1 }, (_, depth) => depth);

/** How many runs a worker may hold, including runs that wait for tasks that they requested. */
export const maxHeldRuns = (slots: number): number => slots * DEPTHS.length;

interface Run {
  readonly depth: number;
  /** The number of its tool calls that wait for another task. */
  waits: number;
}

/**
 * The slots of a worker and the runs in them. A run that waits for a task that it requested lends its slot to tasks that agents requested. Runs up to
 * depth d are limited to (d + 1) times the slots, so a task that another run waits for always finds room (ADR 39).
 */
export class Slots {
  readonly count: number;
  readonly #free: number[];
  readonly #runs = new Map<number, Run>();
  readonly #retired = new Set<number>();
  readonly #pauses = new Set<object>();
  readonly #endListeners = new Set<() => void>();
  #onRoom: () => void = () => undefined;

  /** @param count how many runs may work at the same time */
  constructor(count: number) {
    const places = maxHeldRuns(count);
    this.count = count;
    this.#free = Array.from({ length: places }, (_, index) => places - 1 - index);
  }

  /** Runs in progress, including waiting ones. */
  get running(): number {
    return this.#runs.size;
  }

  /** Slots that are out of service. */
  get retired(): number {
    return this.#retired.size;
  }

  /** Whether a run of this depth may start. */
  hasRoom(depth: number): boolean {
    const slots = this.count - this.#retired.size;
    const runs = [...this.#runs.values()];
    if (this.#pauses.size > 0 || runs.filter(({ waits }) => waits === 0).length >= slots) return false;
    return DEPTHS.slice(depth).every((d) => runs.filter((run) => run.depth <= d).length < slots * (d + 1));
  }

  /** Whether a run of some depth may start. */
  get hasRoomForSome(): boolean {
    return DEPTHS.some((depth) => this.hasRoom(depth));
  }

  /** @returns a slot for a run of this depth, or undefined if there is no room */
  take(depth: number): number | undefined {
    const slot = this.hasRoom(depth) ? this.#free.pop() : undefined;
    if (slot !== undefined) this.#runs.set(slot, { depth, waits: 0 });
    return slot;
  }

  /** Frees the slot of a run that has ended. */
  release(slot: number): void {
    this.#runs.delete(slot);
    if (!this.#retired.has(slot)) this.#free.push(slot);
    for (const listener of this.#endListeners) listener();
    this.#onRoom();
  }

  /** Lends a run's slot while the run waits for a task. @returns a function that ends the loan; call it once */
  lend(slot: number): () => void {
    const run = this.#runs.get(slot);
    if (run === undefined) return () => undefined;
    run.waits += 1;
    this.#onRoom();
    return () => {
      run.waits -= 1;
    };
  }

  /** Takes a slot out of service, so that the worker runs one task less. @returns a function that puts it back */
  retire(slot: number): () => void {
    this.#retired.add(slot);
    return () => {
      this.#retired.delete(slot);
      // A run that is still in the slot frees it at its end.
      if (!this.#runs.has(slot)) this.#free.push(slot);
      this.#onRoom();
    };
  }

  /** Gives no slot to new runs until the returned function is called. Pauses may overlap. */
  pause(): () => void {
    const pause = {};
    this.#pauses.add(pause);
    return () => {
      this.#pauses.delete(pause);
      this.#onRoom();
    };
  }

  /** Calls `listener` whenever a run has ended. @returns a function that removes the listener */
  onEnd(listener: () => void): () => void {
    this.#endListeners.add(listener);
    return () => this.#endListeners.delete(listener);
  }

  /** @param call called when there may be room again */
  onRoom(call: () => void): void {
    this.#onRoom = call;
  }
}
