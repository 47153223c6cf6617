import { questionOf, type Asked, type Question } from './question.js';

/** One that is asked now. */
export interface Asking {
  readonly asked: Asked;
  readonly question: Question;
}

/** What Claude has asked: one after the other, until each is answered here or elsewhere. */
export class Questions {
  #waiting: Asked[] = [];
  #asking: Asking | undefined;

  get asking(): Asking | undefined {
    return this.#asking;
  }

  add(asked: Asked): void {
    this.#waiting.push(asked);
  }

  /** @returns the next one, if none is being asked. */
  next(): Asking | undefined {
    const asked = this.#asking === undefined ? this.#waiting.shift() : undefined;
    return asked === undefined ? undefined : (this.#asking = { asked, question: questionOf(asked) });
  }

  /** It has its answer. */
  done(): void {
    this.#asking = undefined;
  }

  /** Its answer didn't arrive: it is asked anew. */
  again(asked: Asked): void {
    this.#waiting.unshift(asked);
  }

  /** It is no longer open. @returns whether it was being asked. */
  close(id: string): boolean {
    this.#waiting = this.#waiting.filter(({ approval_id }) => approval_id !== id);
    if (this.#asking?.asked.approval_id !== id) return false;
    this.#asking = undefined;
    return true;
  }

  clear(): void {
    this.#waiting = [];
    this.#asking = undefined;
  }
}
