import { once } from 'node:events';

/** What a quarantine needs of the lanes: to take nothing more for a while, and to know what is under way. */
export interface Pausable {
  readonly running: number;
  /** Takes nothing more until the returned function is called; several may hold it at once. */
  pause(): () => void;
  /** Calls `listener` when a run has ended. Returns how to stop that. */
  onEnd(listener: () => void): () => void;
}

/**
 * Lets a run that may be what takes workers down have its worker for itself: so it takes no other with it, and those that
 * were only beside it are told from it. One at a time.
 */
export class Quarantine {
  readonly #lanes: () => Pausable;
  #taken = false;

  /** @param lanes which are made after this. */
  constructor(lanes: () => Pausable) {
    this.#lanes = lanes;
  }

  /**
   * Takes the worker for one of its runs; resolves when no other is under way.
   * @returns what ends it; undefined when another run has it, or waits for it.
   * @throws the signal's reason.
   */
  async enter(signal: AbortSignal): Promise<(() => void) | undefined> {
    if (this.#taken) return undefined;
    this.#taken = true;
    const lanes = this.#lanes();
    const resume = lanes.pause();
    const leave = (): void => {
      this.#taken = false;
      resume();
    };
    try {
      await alone(lanes, signal);
      return leave;
    } catch (error) {
      leave();
      throw error;
    }
  }
}

async function alone(lanes: Pausable, signal: AbortSignal): Promise<void> {
  while (lanes.running > 1) {
    signal.throwIfAborted();
    const ended = new AbortController();
    const off = lanes.onEnd(() => ended.abort());
    await once(AbortSignal.any([ended.signal, signal]), 'abort');
    off();
  }
  signal.throwIfAborted();
}
