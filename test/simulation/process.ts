import type { SharedClock } from '../../src/broker/broker-clock.js';
import type { Scheduler } from './scheduler.js';

/** 2026-01-01, when every world begins. */
export const EPOCH = 1_767_225_600_000;
/** Measurements of the broker's time differ by as much; in ms. */
export const MAX_SKEW_MS = 40;
const MAX_DRIFT = 1e-4;

/** A process as far as time goes: it has a clock of its own, may stand still for a while, and may die at any moment. */
export class SimProcess implements SharedClock {
  readonly name: string;
  readonly #scheduler: Scheduler;
  readonly #skew: number;
  readonly #rate: number;
  #stillUntil = 0;
  #dead = false;
  #stepsToLive = Infinity;
  readonly #onDeath: (() => void)[] = [];

  constructor(name: string, scheduler: Scheduler) {
    this.name = name;
    this.#scheduler = scheduler;
    this.#skew = (scheduler.random() * 2 - 1) * MAX_SKEW_MS;
    this.#rate = 1 + (scheduler.random() * 2 - 1) * MAX_DRIFT;
  }

  get dead(): boolean {
    return this.#dead;
  }

  /** It stands still now. */
  get still(): boolean {
    return this.#scheduler.now < this.#stillUntil;
  }

  now(): number {
    return Math.round(EPOCH + this.#skew + this.#scheduler.now);
  }

  known(): Promise<void> {
    return Promise.resolve();
  }

  ahead(): number {
    return 0;
  }

  monotonic(): number {
    return this.#scheduler.now * this.#rate;
  }

  after(ms: number, call: () => void): () => void {
    return this.#scheduler.after(ms / this.#rate, () => this.run(call));
  }

  deadline(ms: number): AbortSignal {
    const controller = new AbortController();
    this.after(ms, () => controller.abort(new DOMException('The time is up', 'TimeoutError')));
    return controller.signal;
  }

  /** Calls when the process can: at once, once it goes on, or never. What comes first is called first. */
  run(call: () => void): void {
    if (this.#dead) return;
    if (this.still) this.#scheduler.after(this.#stillUntil - this.#scheduler.now, () => this.run(call));
    else call();
  }

  /** As by SIGSTOP and SIGCONT. */
  standStill(ms: number): void {
    this.#stillUntil = Math.max(this.#stillUntil, this.#scheduler.now + ms);
  }

  /** As by SIGKILL: nothing of it is ever called again. */
  kill(): void {
    if (this.#dead) return;
    this.#dead = true;
    for (const call of this.#onDeath) call();
  }

  /** Kills it right before a step of its own, of those that others see. */
  killAfterSteps(steps: number): void {
    this.#stepsToLive = steps;
  }

  /** @returns false when it has died instead of taking the step. */
  step(): boolean {
    if (this.#dead) return false;
    if (this.#stepsToLive-- > 0) return true;
    this.kill();
    return false;
  }

  onDeath(call: () => void): void {
    this.#onDeath.push(call);
  }
}
