interface Planned {
  readonly at: number;
  /** Seeded: who goes first of those that are due at once. */
  readonly turn: number;
  readonly call: () => void;
  cancelled: boolean;
}

const before = (a: Planned, b: Planned): boolean => a.at < b.at || (a.at === b.at && a.turn < b.turn);

/**
 * The one source of time and order of a simulated world: whatever happens in it is called from here, one thing at a time, and
 * all that follows from it at once has happened before the next.
 */
export class Scheduler {
  readonly random: () => number;
  readonly #heap: Planned[] = [];
  #now = 0;

  /** @param random seeded, in [0, 1). */
  constructor(random: () => number) {
    this.random = random;
  }

  /** In ms from the beginning of the world. */
  get now(): number {
    return this.#now;
  }

  /** Returns how to call it off. */
  after(ms: number, call: () => void): () => void {
    const planned = { at: this.#now + Math.max(0, ms), turn: this.random(), call, cancelled: false };
    this.#push(planned);
    return () => (planned.cancelled = true);
  }

  /** Lets time pass until `done`, asked after each step. @returns false when `limit` was reached, or nothing was left to do. */
  async run(done: () => boolean, limit: number): Promise<boolean> {
    while (!done()) {
      const next = this.#pop();
      if (next === undefined || next.at > limit) return false;
      if (next.cancelled) continue;
      this.#now = next.at;
      next.call();
      await settled();
    }
    return true;
  }

  #push(planned: Planned): void {
    const heap = this.#heap;
    let index = heap.push(planned) - 1;
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = heap[parentIndex];
      if (parent === undefined || !before(planned, parent)) break;
      heap[index] = parent;
      index = parentIndex;
    }
    heap[index] = planned;
  }

  #pop(): Planned | undefined {
    const heap = this.#heap;
    const [first] = heap;
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      const [left, right] = [heap[child], heap[child + 1]];
      if (left === undefined) break;
      let least = left;
      if (right !== undefined && before(right, left)) {
        least = right;
        child += 1;
      }
      if (!before(least, last)) break;
      heap[index] = least;
      index = child;
    }
    heap[index] = last;
    return first;
  }
}

/** Resolves when no promise is left that could settle by itself: a tick's turn comes after all microtasks. */
const settled = (): Promise<void> => new Promise((resolve) => process.nextTick(resolve));
