import type { SpawnDelta } from '../../contracts/events/events.js';

/** The maximum number of early deltas that are kept. A message has fewer. */
const MAX_EARLY = 10_000;

/** Text that was not returned before. */
export interface NewText {
  readonly text: string;
  /** Whether the text begins a message, continues it, or repeats it from its start, as happens when Claude's own connection breaks. */
  readonly how: 'begins' | 'continues' | 'restarts';
}

/**
 * Assembles the messages of an answer from deltas, some of which may be lost, and from complete messages, which are never lost. A delta counts if
 * it starts where the text so far ends. The complete message supplies the rest. No text is returned twice. Deltas are not stored, so a delta may
 * arrive before the event that precedes it; it is then kept until that event.
 */
export class MessageText {
  /** 0 before the first attempt. */
  #attempt = 0;
  #part = 0;
  /** The returned text of the current message. */
  #returned = '';
  #early: SpawnDelta[] = [];

  /** Begins an attempt, which repeats the whole answer. @returns the text of deltas that arrived early */
  start(attempt: number): NewText[] {
    this.#attempt = attempt;
    this.#part = 0;
    this.#returned = '';
    return this.caughtUp();
  }

  delta(delta: SpawnDelta): NewText[] {
    const { attempt, part, offset, text } = delta.data;
    if (attempt > this.#attempt || (attempt === this.#attempt && part > this.#part)) {
      if (this.#early.length < MAX_EARLY) this.#early.push(delta);
      return [];
    }
    if (attempt !== this.#attempt || part !== this.#part || offset !== this.#returned.length || text === '') return [];
    const how = this.#returned === '' ? 'begins' : 'continues';
    this.#returned += text;
    return [{ text, how }];
  }

  /** Completes the current message. @returns the part of it that is new. Call `caughtUp` for early deltas of the next message. */
  complete(whole: string): NewText[] {
    const returned = this.#returned;
    this.#part += 1;
    this.#returned = '';
    if (returned === '') return whole === '' ? [] : [{ text: whole, how: 'begins' }];
    // The deltas belong to a different text. The complete message is authoritative.
    if (!whole.startsWith(returned)) return [{ text: whole, how: 'restarts' }];
    return whole === returned ? [] : [{ text: whole.slice(returned.length), how: 'continues' }];
  }

  /** Returns the text of early deltas whose turn has come. */
  caughtUp(): NewText[] {
    const early = this.#early;
    this.#early = [];
    return early.flatMap((delta) => this.delta(delta));
  }
}
