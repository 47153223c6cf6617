import { textOfMessage } from '../../contracts/tasks/claude.js';
import type { EventMessage } from './event-message.js';
import { isDelta, isEvent } from './event-message.js';
import { MessageText, type NewText } from './message-text.js';

/** Builds the text of an answer from a task's events. An empty line separates messages. The text of a later attempt follows the earlier text. */
export class AnswerText {
  readonly #messages = new MessageText();
  #hasText = false;

  /** @returns the text that `message` adds, `''` if none */
  add(message: EventMessage): string {
    return this.#new(message)
      .map((text) => this.#separated(text))
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

  #separated({ text, how }: NewText): string {
    const separator = this.#hasText && how !== 'continues' ? '\n\n' : '';
    this.#hasText = true;
    return separator + text;
  }
}
