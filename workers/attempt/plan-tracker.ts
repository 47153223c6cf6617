import { dirname, join } from 'node:path';
import type { SpawnCommand } from '../../contracts/tasks/spawn.js';
import { isRecord } from '../../src/json.js';
import type { ClaudeMessage } from '../claude/ending.js';

/** The tool with which Claude asks for approval of its plan. Claude Code offers it only where a person can answer. */
export const EXIT_PLAN = 'ExitPlanMode';

/**
 * Follows the plan of a run in plan mode. Claude either writes the plan into a file in its configuration folder, perhaps without
 * repeating it in its text, or writes it as text only. The plan is taken from tool results. The file is never read: Claude controls
 * it and could make it a link.
 */
export class PlanTracker {
  readonly #restore: (text: string) => string;
  readonly #folders = new Set<string>();
  #written: string | undefined;
  #lastText = '';

  /** @param restore puts large values back into a text. Edits apply to the complete text. */
  constructor(restore: (text: string) => string = (text) => text) {
    this.#restore = restore;
  }

  /** @param config a configuration folder with which Claude may run. */
  mayLieIn(config: string): void {
    this.#folders.add(join(config, 'plans'));
  }

  /** Receives each complete message of Claude's stream. */
  observe(message: ClaudeMessage): void {
    if (typeof message['parent_tool_use_id'] === 'string') return;
    const { tool_use_result: result } = message;
    if (isRecord(result)) this.#written = this.#after(result) ?? this.#written;
    if (message.type !== 'assistant') return;
    const text = textOf(message['message']);
    if (text !== '') this.#lastText = text;
  }

  /** The plan that a person is asked to approve: the tool's input, or else Claude's last text. */
  planText(input: Readonly<Record<string, unknown>>): string | undefined {
    const { plan } = input;
    if (typeof plan === 'string' && plan.trim() !== '') return plan;
    return this.#lastText === '' ? undefined : this.#lastText;
  }

  /** The current contents of the plan file. Undefined: there is none, or it is empty. */
  get written(): string | undefined {
    return this.#written?.trim() === '' ? undefined : this.#written;
  }

  /** The plan after a tool has written or edited its file. */
  #after(result: Readonly<Record<string, unknown>>): string | undefined {
    const { filePath: path, content, originalFile: original, oldString: from, newString: to, replaceAll: all } = result;
    if (typeof path !== 'string' || !this.#folders.has(dirname(path))) return undefined;
    if (typeof content === 'string') return content;
    const before = this.#written ?? original;
    if (typeof before !== 'string' || typeof from !== 'string' || typeof to !== 'string') return undefined;
    const [text, old, by] = [before, from, to].map(this.#restore) as [string, string, string];
    return all === true ? text.replaceAll(old, () => by) : text.replace(old, () => by);
  }
}

/**
 * Makes the plan the result of a run in plan mode without approvals. Claude's own text may say no more than that it wrote a plan.
 * @param plan undefined: Claude has written none; the result stays.
 */
export function withPlan(
  result: ClaudeMessage | undefined,
  { permission_mode: mode, approvals = false }: Pick<SpawnCommand, 'permission_mode' | 'approvals'>,
  plan: string | undefined,
): ClaudeMessage | undefined {
  if (plan === undefined || mode !== 'plan' || approvals) return result;
  return result?.['subtype'] === 'success' && result['is_error'] !== true ? { ...result, result: plan } : result;
}

function textOf(message: unknown): string {
  const content = isRecord(message) ? message['content'] : undefined;
  const texts = (Array.isArray(content) ? content : []).map((block: unknown) =>
    isRecord(block) && block['type'] === 'text' && typeof block['text'] === 'string' ? block['text'] : '',
  );
  return texts.join('\n').trim();
}
