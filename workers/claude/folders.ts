import { mkdir, readdir, realpath, rm, symlink, writeFile, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

/** The folders of one place that a run can have: concurrent runs in one configuration folder corrupt it (FACTS). */
export interface SlotFolders {
  readonly config: string;
  readonly home: string;
}

const CREDENTIALS = '.credentials.json';
const PID_FILE = 'pid';

/** The folders of a worker below KSI_DIR: `workers/<worker_id>/<slot>/` while it lives, `workspaces/<session_id>/` for good. */
export class Folders {
  readonly #base: string;
  readonly #own: string;
  readonly #login: string | undefined;

  /** @param login a logged-in Claude configuration that the operator named to the worker (CLAUDE_CONFIG_DIR). */
  constructor(ksiDir: string, workerId: string, login?: string) {
    this.#base = resolve(ksiDir);
    this.#own = join(this.#base, 'workers', workerId);
    this.#login = login === undefined || login === '' ? undefined : resolve(login);
  }

  async start(): Promise<void> {
    await mkdir(this.#own, { recursive: true, mode: 0o700 });
    await writeFile(join(this.#own, PID_FILE), String(process.pid));
    await removeDead(join(this.#base, 'workers'));
  }

  async stop(): Promise<void> {
    await rm(this.#own, { recursive: true, force: true });
  }

  /** Makes a slot ready for a run. */
  async slot(index: number): Promise<SlotFolders> {
    const config = join(this.#own, String(index), 'config');
    const home = join(this.#own, String(index), 'home');
    await mkdir(config, { recursive: true, mode: 0o700 });
    await mkdir(home, { recursive: true, mode: 0o700 });
    // The truth is the transcript in the broker: what an earlier run left of the session here would be in its way.
    await rm(join(config, 'projects'), { recursive: true, force: true });
    if (this.#login !== undefined) await this.#link(this.#login, config);
    return { config, home };
  }

  /** The one working folder of a session, by its real path: Claude files transcripts under it. */
  async workspace(sessionId: string): Promise<string> {
    const folder = join(this.#base, 'workspaces', sessionId);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return realpath(folder);
  }

  /** A link, so that a login renewed by one run is seen by all. */
  async #link(login: string, config: string): Promise<void> {
    try {
      await symlink(join(login, CREDENTIALS), join(config, CREDENTIALS));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
}

/** Removes the folders of workers that did not come to remove their own. */
async function removeDead(workers: string): Promise<void> {
  for (const name of await readdir(workers)) {
    if (!name.startsWith('w_')) continue;
    const pid = await readPid(join(workers, name, PID_FILE));
    // Without a number it is one that is being made now.
    if (pid === undefined || isAlive(pid)) continue;
    await rm(join(workers, name), { recursive: true, force: true });
  }
}

async function readPid(file: string): Promise<number | undefined> {
  try {
    return Number(await readFile(file, 'utf8')) || undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
