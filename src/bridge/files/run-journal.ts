import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { replaceFile } from './replace.js';
import type { WorkDir } from './work-dir.js';

/** A run that clients asked for, and that has not been told of to its end. */
export interface PendingRun {
  readonly task_id: string;
  readonly session_id: string;
  /** A cursor from before its first event. */
  readonly since: string;
  readonly prompt: string;
  readonly asked_at: string;
  readonly model?: string | undefined;
  /** As the client wrote it. */
  readonly agent_id?: string | undefined;
  /** Whether its end is to be told to the agent: nobody waits for it. */
  readonly announce: boolean;
}

/** One file a run, so that a bridge that starts again tells what ended while it was away. */
export class RunJournal {
  readonly #folder: string;

  constructor(dir: WorkDir) {
    this.#folder = join(dir.own, 'runs');
  }

  add(run: PendingRun): Promise<void> {
    return replaceFile(this.#file(run.task_id), JSON.stringify(run));
  }

  remove(taskId: string): Promise<void> {
    return rm(this.#file(taskId), { force: true });
  }

  /** Those of before. What can't be read (a full disk, once) is given to `unreadable` and left where it is. */
  async pending(unreadable: (file: string, error: unknown) => void): Promise<PendingRun[]> {
    const runs: PendingRun[] = [];
    for (const name of (await readdir(this.#folder)).filter((file) => file.endsWith('.json'))) {
      const file = join(this.#folder, name);
      try {
        runs.push(JSON.parse(await readFile(file, 'utf8')) as PendingRun);
      } catch (error) {
        unreadable(file, error);
      }
    }
    return runs;
  }

  #file(taskId: string): string {
    return join(this.#folder, `${taskId}.json`);
  }
}
