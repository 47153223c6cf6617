import { dirname, join } from 'node:path';
import { isRecord } from '../../src/json.js';
import type { ClaudeMessage } from '../claude/ending.js';

/** The tool by which Claude asks to carry its plan out. Claude Code offers it only where somebody can be asked. */
export const EXIT_PLAN = 'ExitPlanMode';

/**
 * Follows the plan of a run in plan mode. Claude writes it into a file in its configuration folder, and need not repeat it in what it
 * says; or it says it, and writes no file. The file is not read: what lies there is Claude's to choose, a link too.
 */
export class Plan {
  readonly #whole: (text: string) => string;
  readonly #folders = new Set<string>();
  #written: string | undefined;
  #said = '';

  /** @param whole puts back what was taken out of a text as it is large. An edit needs the text itself. */
  constructor(whole: (text: string) => string = (text) => text) {
    this.#whole = whole;
  }

  /** @param config a configuration folder that Claude may run with. */
  mayLieIn(config: string): void {
    this.#folders.add(join(config, 'plans'));
  }

  /** A complete message of Claude's stream. */
  heard(message: ClaudeMessage): void {
    if (typeof message['parent_tool_use_id'] === 'string') return;
    const { tool_use_result: done } = message;
    if (isRecord(done)) this.#written = this.#after(done) ?? this.#written;
    if (message.type !== 'assistant') return;
    const said = textOf(message['message']);
    if (said !== '') this.#said = said;
  }

  /** What a person is asked to approve: as Claude hands it over, else what it said last. */
  shown(input: Readonly<Record<string, unknown>>): string | undefined {
    const { plan } = input;
    if (typeof plan === 'string' && plan.trim() !== '') return plan;
    return this.#said === '' ? undefined : this.#said;
  }

  /** The plan as the run has left it in its file; undefined: it has written none. */
  get written(): string | undefined {
    return this.#written?.trim() === '' ? undefined : this.#written;
  }

  /** The plan after a tool has written or edited its file. */
  #after(done: Readonly<Record<string, unknown>>): string | undefined {
    const { filePath: path, content, originalFile: original, oldString: from, newString: to, replaceAll: all } = done;
    if (typeof path !== 'string' || !this.#folders.has(dirname(path))) return undefined;
    if (typeof content === 'string') return content;
    const before = this.#written ?? original;
    if (typeof before !== 'string' || typeof from !== 'string' || typeof to !== 'string') return undefined;
    const [text, old, by] = [before, from, to].map(this.#whole) as [string, string, string];
    return all === true ? text.replaceAll(old, () => by) : text.replace(old, () => by);
  }
}

function textOf(message: unknown): string {
  const content = isRecord(message) ? message['content'] : undefined;
  const texts = (Array.isArray(content) ? content : []).map((block: unknown) =>
    isRecord(block) && block['type'] === 'text' && typeof block['text'] === 'string' ? block['text'] : '',
  );
  return texts.join('\n').trim();
}
