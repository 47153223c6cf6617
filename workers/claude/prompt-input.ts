import { once } from 'node:events';
import type { SDKUserMessage } from '@anthropic-ai/claude-agent-sdk';
import type { PromptContent } from './prompt.js';

/** What is said to Claude in a run: the prompt, and what follows while it works. Open until the turn is over: interrupting needs that. */
export class PromptInput {
  readonly #waiting: PromptContent[];
  readonly #changed = new EventTarget();
  #ended = false;

  constructor(prompt: PromptContent) {
    this.#waiting = [prompt];
  }

  /** @returns false when nothing more is taken. */
  say(content: PromptContent): boolean {
    if (this.#ended) return false;
    this.#waiting.push(content);
    this.#changed.dispatchEvent(new Event('change'));
    return true;
  }

  /** Says what an earlier attempt was told, before anything that was said since. Call it before `messages`: the prompt is still the first. */
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
