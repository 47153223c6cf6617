import { questionOf, type ApprovalRequest, type Question } from './question.js';

/** The approval that is being asked. */
export interface Asking {
  readonly request: ApprovalRequest;
  readonly question: Question;
}

/** The queue of pending approvals. They are asked one at a time, until each is answered here or elsewhere. */
export class Questions {
  #waiting: ApprovalRequest[] = [];
  #asking: Asking | undefined;

  get asking(): Asking | undefined {
    return this.#asking;
  }

  add(request: ApprovalRequest): void {
    this.#waiting.push(request);
  }

  /** @returns the next approval, unless one is being asked. */
  next(): Asking | undefined {
    const request = this.#asking === undefined ? this.#waiting.shift() : undefined;
    return request === undefined ? undefined : (this.#asking = { request, question: questionOf(request) });
  }

  /** The current approval was answered. */
  done(): void {
    this.#asking = undefined;
  }

  /** The answer failed, so ask again. */
  askAgain(request: ApprovalRequest): void {
    this.#waiting.unshift(request);
  }

  /** The approval is no longer pending. @returns whether it was being asked. */
  close(id: string): boolean {
    this.#waiting = this.#waiting.filter(({ approval_id }) => approval_id !== id);
    if (this.#asking?.request.approval_id !== id) return false;
    this.#asking = undefined;
    return true;
  }

  clear(): void {
    this.#waiting = [];
    this.#asking = undefined;
  }
}
