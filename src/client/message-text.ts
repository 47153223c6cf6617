import type { SpawnDelta } from '../../contracts/events/events.js';

/** Deltas kept for their turn: more than one message has. */
const MAX_EARLY = 10_000;

/** Text that was not given yet. */
export interface NewText {
  readonly text: string;
  /** It begins a message, or goes on with it; `anew`: says it from its beginning, as Claude did when its own connection broke. */
  readonly how: 'begins' | 'goes on' | 'anew';
}

/**
 * Puts the messages of an answer together from deltas, which may be missed, and complete messages, which may not: a delta is given when it
 * goes on where the text ends, and what the deltas of a message didn't bring, the message itself fills in. Nothing is given twice. As deltas
 * are not stored first, they may overtake the event before them: those wait for it.
 */
export class MessageText {
  /** 0: none has begun. */
  #attempt = 0;
  #part = 0;
  /** What was given of the message under way. */
  #given = '';
  #early: SpawnDelta[] = [];

  /** The attempt says all anew. @returns its text that came before this. */
  start(attempt: number): NewText[] {
    this.#attempt = attempt;
    this.#part = 0;
    this.#given = '';
    return this.caughtUp();
  }

  delta(delta: SpawnDelta): NewText[] {
    const { attempt, part, offset, text } = delta.data;
    if (attempt > this.#attempt || (attempt === this.#attempt && part > this.#part)) {
      if (this.#early.length < MAX_EARLY) this.#early.push(delta);
      return [];
    }
    if (attempt !== this.#attempt || part !== this.#part || offset !== this.#given.length || text === '') return [];
    const how = this.#given === '' ? 'begins' : 'goes on';
    this.#given += text;
    return [{ text, how }];
  }

  /** A message that is complete. @returns what of it is new. Text of the next that came before this: `caughtUp`. */
  complete(whole: string): NewText[] {
    const given = this.#given;
    this.#part += 1;
    this.#given = '';
    if (given === '') return whole === '' ? [] : [{ text: whole, how: 'begins' }];
    // What was given is not its beginning: the whole is the one to trust.
    if (!whole.startsWith(given)) return [{ text: whole, how: 'anew' }];
    return whole === given ? [] : [{ text: whole.slice(given.length), how: 'goes on' }];
  }

  /** Text that waited for the event before it, and need not any more. */
  caughtUp(): NewText[] {
    const early = this.#early;
    this.#early = [];
    return early.flatMap((delta) => this.delta(delta));
  }
}
