import { once } from 'node:events';
import type { Slots } from './slots.js';

/**
 * Lets a run that may be what takes workers down have its worker for itself: so it takes no other with it, and those that
 * were only beside it are told from it. One at a time.
 */
export class Quarantine {
  readonly #slots: Pick<Slots, 'running' | 'pause' | 'onEnd'>;
  #taken = false;

  constructor(slots: Pick<Slots, 'running' | 'pause' | 'onEnd'>) {
    this.#slots = slots;
  }

  /**
   * Takes the worker for one of its runs; resolves when no other is under way.
   * @returns what ends it; undefined when another run has it, or waits for it.
   * @throws the signal's reason.
   */
  async enter(signal: AbortSignal): Promise<(() => void) | undefined> {
    if (this.#taken) return undefined;
    this.#taken = true;
    const resume = this.#slots.pause();
    const leave = (): void => {
      this.#taken = false;
      resume();
    };
    try {
      await this.#alone(signal);
      return leave;
    } catch (error) {
      leave();
      throw error;
    }
  }

  async #alone(signal: AbortSignal): Promise<void> {
    while (this.#slots.running > 1) {
      signal.throwIfAborted();
      const ended = new AbortController();
      const off = this.#slots.onEnd(() => ended.abort());
      await once(AbortSignal.any([ended.signal, signal]), 'abort');
      off();
    }
    signal.throwIfAborted();
  }
}
