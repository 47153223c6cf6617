import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { replaceFile } from './replace.js';
import type { WorkDir } from './work-dir.js';

/** A run that a client requested and whose end is not yet logged and announced. */
export interface PendingRun {
  readonly task_id: string;
  readonly session_id: string;
  /** A cursor before the task's first event. */
  readonly since: string;
  readonly prompt: string;
  readonly asked_at: string;
  readonly model?: string | undefined;
  /** In the old protocol. */
  readonly agent_id?: string | undefined;
  /** Whether the agent gets a PROCESS_COMPLETE. */
  readonly announce: boolean;
}

/** One file for each pending run, so that a restarted bridge reports the runs that ended meanwhile. */
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

  /** The runs that the last bridge left. A file that cannot be read, perhaps because the disk was full, stays and is passed to `unreadable`. */
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
