import type { Scheduler } from './scheduler.js';
import { matches, type SimMessage, type SimStream } from './stream.js';

export interface Pull {
  readonly noWait: boolean;
  readonly until: number;
  /** The broker still has the connection that it came over. */
  readonly open: () => boolean;
  readonly deliver: (message: SimMessage, count: number) => void;
  readonly status: (code: 404 | 408) => void;
}

interface Held {
  readonly count: number;
  /** Delivered again after this. */
  readonly until: number;
}

/** What the consumer's own file may lag behind, and a kill forgets. */
const REMEMBERED_MS = 2_000;

/**
 * A work queue's consumer, with its traps (docs/design/broker-protocol.md#the-lease): it knows no holders, only messages. So a renewal or a
 * nak from an earlier delivery counts for the present one, and an acknowledgement from any takes the message off the queue.
 */
export class SimConsumer {
  readonly name: string;
  readonly #stream: SimStream;
  readonly #filter: string;
  readonly #ackWaitMs: number;
  readonly #scheduler: Scheduler;
  readonly #held = new Map<number, Held>();
  readonly #undo: { at: number; undo: () => void }[] = [];
  #pulls: Pull[] = [];

  constructor(name: string, stream: SimStream, filter: string, ackWaitMs: number, scheduler: Scheduler) {
    this.name = name;
    this.#stream = stream;
    this.#filter = filter;
    this.#ackWaitMs = ackWaitMs;
    this.#scheduler = scheduler;
  }

  pull(pull: Pull): void {
    this.#pulls.push(pull);
    this.dispatch();
    if (!this.#pulls.includes(pull)) return;
    if (pull.noWait) this.#end(pull, 404);
    else this.#scheduler.after(pull.until - this.#scheduler.now, () => this.#end(pull, 408));
  }

  /** Hands out what may be handed out. */
  dispatch(): void {
    this.#pulls = this.#pulls.filter((pull) => pull.open());
    for (let pull = this.#pulls[0]; pull !== undefined; pull = this.#pulls[0]) {
      const message = this.#next();
      if (message === undefined) return;
      this.#pulls.shift();
      const count = (this.#held.get(message.seq)?.count ?? 0) + 1;
      this.#hold(message.seq, { count, until: this.#scheduler.now + this.#ackWaitMs });
      pull.deliver(message, count);
    }
  }

  ack(seq: number): void {
    // One that it doesn't know to be delivered it ignores.
    if (!this.#held.delete(seq)) return;
    this.#stream.delete(seq);
  }

  renew(seq: number): void {
    const held = this.#held.get(seq);
    if (held !== undefined) this.#hold(seq, { ...held, until: this.#scheduler.now + this.#ackWaitMs });
  }

  /** @returns whether it was of an earlier delivery, and gives back what somebody else may be at. */
  nak(seq: number, count: number, delayMs: number): boolean {
    const held = this.#held.get(seq);
    if (held === undefined) return false;
    this.#hold(seq, { ...held, until: this.#scheduler.now + delayMs });
    return held.count !== count;
  }

  /** The broker was killed: all pulls are gone, and what it noted within the last `ms`. */
  forget(ms: number): void {
    this.#pulls = [];
    for (const { at, undo } of this.#undo.toReversed()) if (at > this.#scheduler.now - ms) undo();
    this.#undo.length = 0;
  }

  #hold(seq: number, held: Held): void {
    const before = this.#held.get(seq);
    this.#held.set(seq, held);
    this.#remember(() => {
      if (!this.#held.has(seq)) return;
      if (before === undefined) this.#held.delete(seq);
      else this.#held.set(seq, before);
    });
    this.#scheduler.after(held.until - this.#scheduler.now, () => this.dispatch());
  }

  #remember(undo: () => void): void {
    const at = this.#scheduler.now;
    this.#undo.push({ at, undo });
    while ((this.#undo[0]?.at ?? at) < at - REMEMBERED_MS) this.#undo.shift();
  }

  #next(): SimMessage | undefined {
    let again: SimMessage | undefined;
    let oldest = this.#scheduler.now;
    for (const [seq, { until }] of this.#held) {
      if (until > oldest) continue;
      const message = this.#stream.get(seq);
      if (message === undefined) this.#held.delete(seq);
      else [again, oldest] = [message, until];
    }
    if (again !== undefined) return again;
    return this.#stream.messages.find(({ seq, subject }) => !this.#held.has(seq) && matches(this.#filter, subject));
  }

  #end(pull: Pull, code: 404 | 408): void {
    const index = this.#pulls.indexOf(pull);
    if (index < 0) return;
    this.#pulls.splice(index, 1);
    if (pull.open()) pull.status(code);
  }
}
