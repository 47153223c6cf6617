import type { ClaudeMessage } from './ending.js';

interface Task {
  readonly type: string;
  readonly ambient: boolean;
}

/**
 * What Claude lets run on beside its turns: subagents, above all, which it starts in the background unless told otherwise, and commands.
 * It ends its turn meanwhile, and gets another one when something of it has ended.
 */
export class Background {
  #tasks: readonly Task[] = [];

  /** @returns whether the message told of it. */
  heard({ type, subtype, tasks }: ClaudeMessage): boolean {
    if (type !== 'system' || subtype !== 'background_tasks_changed') return false;
    // All that there are now.
    this.#tasks = (Array.isArray(tasks) ? tasks : []).map(taskOf);
    return true;
  }

  /** What Claude will have another turn for. */
  get running(): boolean {
    return this.#tasks.some(({ ambient }) => !ambient);
  }

  /** Work of Claude's own that would be cut off. A command may be one that never ends, such as a server. */
  get working(): boolean {
    return this.#tasks.some(({ type, ambient }) => !ambient && type !== 'local_bash');
  }
}

function taskOf(task: unknown): Task {
  const { task_type: type, ambient } = (task ?? {}) as { task_type?: unknown; ambient?: unknown };
  return { type: String(type), ambient: ambient === true };
}
