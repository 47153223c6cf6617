import { textOfMessage } from '../../contracts/tasks/claude.js';
import type { EventMessage } from './event-message.js';
import { isDelta, isEvent } from './event-message.js';
import { MessageText, type NewText } from './message-text.js';

/** The text of an answer, as it comes. Messages stand apart by an empty line; another attempt comes after what the one before had said. */
export class AnswerText {
  readonly #messages = new MessageText();
  #any = false;

  /** @returns the text that `message` adds; '' for none. */
  take(message: EventMessage): string {
    return this.#new(message)
      .map((text) => this.#apart(text))
      .join('');
  }

  #new(message: EventMessage): NewText[] {
    if (isDelta(message)) return this.#messages.delta(message);
    if (!isEvent(message)) return [];
    const { type, data } = message;
    if (type === 'SPAWN_START') return this.#messages.start(Number(data['attempt']));
    const whole = type === 'SPAWN_MESSAGE' ? textOfMessage(data['message']) : undefined;
    return whole === undefined ? [] : [...this.#messages.complete(whole), ...this.#messages.caughtUp()];
  }

  #apart({ text, how }: NewText): string {
    const apart = this.#any && how !== 'goes on' ? '\n\n' : '';
    this.#any = true;
    return apart + text;
  }
}
