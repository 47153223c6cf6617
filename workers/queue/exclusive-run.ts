import { once } from 'node:events';
import type { Slots } from './slots.js';

/**
 * Lets a suspect run alone in its worker. If it ends the worker again, it harms no other run, and the cause is certain. One such run at a time.
 */
export class ExclusiveRun {
  readonly #slots: Pick<Slots, 'running' | 'pause' | 'onEnd'>;
  #reserved = false;

  constructor(slots: Pick<Slots, 'running' | 'pause' | 'onEnd'>) {
    this.#slots = slots;
  }

  /**
   * Takes the worker for one of its runs. Resolves when no other run is in progress.
   * @returns a function that ends the exclusive run, or undefined if another run has or awaits one
   * @throws the signal's reason
   */
  async enter(signal: AbortSignal): Promise<(() => void) | undefined> {
    if (this.#reserved) return undefined;
    this.#reserved = true;
    const resume = this.#slots.pause();
    const leave = (): void => {
      this.#reserved = false;
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
