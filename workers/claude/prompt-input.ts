import { once } from 'node:events';
import type { SDKUserMessage } from '@anthropic-ai/claude-agent-sdk';
import type { PromptContent } from './prompt.js';

/** The user messages of a run: the prompt, and inputs while Claude works. Stays open until the turn is over: an interruption needs that. */
export class PromptInput {
  readonly #waiting: PromptContent[];
  readonly #changed = new EventTarget();
  #ended = false;

  constructor(prompt: PromptContent) {
    this.#waiting = [prompt];
  }

  /** @returns false when the input is closed. */
  say(content: PromptContent): boolean {
    if (this.#ended) return false;
    this.#waiting.push(content);
    this.#changed.dispatchEvent(new Event('change'));
    return true;
  }

  /** Inserts the inputs of earlier attempts after the prompt and before newer inputs. Call it before `messages`. */
  sayAgain(contents: readonly PromptContent[]): void {
    this.#waiting.splice(1, 0, ...contents);
  }

  end(): void {
    this.#ended = true;
    this.#changed.dispatchEvent(new Event('change'));
  }

  async *messages(): AsyncGenerator<SDKUserMessage> {
    for (;;) {
      for (const content of this.#waiting.splice(0))
        yield { type: 'user', message: { role: 'user', content }, parent_tool_use_id: null };
      if (this.#waiting.length > 0) continue;
      if (this.#ended) return;
      await once(this.#changed, 'change');
    }
  }
}
