import { textOfMessage } from '../../contracts/claude.js';
import type { EventMessage, LiveDelta } from './event-message.js';
import { isDelta, isEvent } from './event-message.js';

/** Deltas kept for their turn: more than one message has. */
const MOST_EARLY = 10_000;

/**
 * Puts an answer's text together from deltas, which may be missed, and complete messages, which may not: a delta is given when it goes
 * on where the text ends, and what the deltas of a message didn't bring, the message itself fills in. As deltas are not stored first, they
 * may overtake the event before them: those wait for it. Messages stand apart by an empty line.
 */
export class AnswerText {
  /** 0: none has begun, and what was written is of one whose beginning is still to come. */
  #attempt = 0;
  #part = 0;
  /** What was given of the message under way. */
  #given = '';
  #any = false;
  #early: LiveDelta[] = [];

  /** @returns the text that `message` adds; '' for none. */
  take(message: EventMessage): string {
    if (isDelta(message)) return this.#delta(message);
    if (!isEvent(message)) return '';
    const { type, data } = message;
    if (type === 'SPAWN_START') return this.#start(Number(data['attempt']));
    if (type !== 'SPAWN_MESSAGE') return '';
    const whole = textOfMessage(data['message']);
    return whole === undefined ? '' : this.#complete(whole) + this.#catchUp();
  }

  /** Another attempt says all anew: what it says comes after what was given. */
  #start(attempt: number): string {
    this.#attempt = attempt;
    this.#part = 0;
    this.#given = '';
    return this.#catchUp();
  }

  #delta(delta: LiveDelta): string {
    const { attempt, part, offset, text } = delta.data;
    if (attempt > this.#attempt || (attempt === this.#attempt && part > this.#part)) {
      if (this.#early.length < MOST_EARLY) this.#early.push(delta);
      return '';
    }
    if (attempt !== this.#attempt || part !== this.#part || offset !== this.#given.length) return '';
    return this.#give(text);
  }

  #catchUp(): string {
    const early = this.#early;
    this.#early = [];
    return early.map((delta) => this.#delta(delta)).join('');
  }

  #complete(whole: string): string {
    // Not so when Claude's own connection broke and it began the message anew: the whole is the one to trust.
    const rest = whole.startsWith(this.#given) ? whole.slice(this.#given.length) : whole;
    if (rest === whole) this.#given = '';
    const text = this.#give(rest);
    this.#part += 1;
    this.#given = '';
    return text;
  }

  #give(text: string): string {
    if (text === '') return '';
    const apart = this.#any && this.#given === '' ? '\n\n' : '';
    this.#given += text;
    this.#any = true;
    return apart + text;
  }
}
