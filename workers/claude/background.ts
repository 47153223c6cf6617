import type { ClaudeMessage } from './ending.js';

interface Task {
  readonly type: string;
  readonly ambient: boolean;
}

/**
 * Tracks Claude's background work: commands and subagents, which Claude starts in the background by default. Claude may end its turn while
 * they run, and gets another turn when one of them has ended.
 */
export class BackgroundWork {
  #tasks: readonly Task[] = [];

  /** @returns whether the message was about background work. */
  observe({ type, subtype, tasks }: ClaudeMessage): boolean {
    if (type !== 'system' || subtype !== 'background_tasks_changed') return false;
    // The message lists all current tasks.
    this.#tasks = (Array.isArray(tasks) ? tasks : []).map(taskOf);
    return true;
  }

  /** Some work is running whose end gives Claude another turn. */
  get running(): boolean {
    return this.#tasks.some(({ ambient }) => !ambient);
  }

  /** Some work other than a command is running. A command may never end, such as a server. */
  get working(): boolean {
    return this.#tasks.some(({ type, ambient }) => !ambient && type !== 'local_bash');
  }
}

function taskOf(task: unknown): Task {
  const { task_type: type, ambient } = (task ?? {}) as { task_type?: unknown; ambient?: unknown };
  return { type: String(type), ambient: ambient === true };
}
