import { lstat, mkdir, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { realpathSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { UUID_PATTERN } from '../../contracts/names.js';
import { removeAll } from './remove.js';
import { identify, isAlive, type ProcessIdentity } from '../../src/process/identity.js';
import { CREDENTIALS, loginIn } from './login.js';
import type { Login } from './sandbox.js';

/** The folders of one place that a run can have: concurrent runs in one configuration folder corrupt it (FACTS). */
export interface SlotFolders {
  readonly config: string;
  readonly home: string;
  /** Where Claude keeps what its background commands write. */
  readonly tmp: string;
  /** File for the run's MCP servers; there is none yet. */
  readonly mcpConfig: string;
  /** A folder that can become a new session's workspace. */
  readonly work: string;
  /** What a run in this place may write, beside its workspace. */
  readonly visible: readonly string[];
  /** The operator's login; undefined: there is none. */
  readonly login: Login | undefined;
  /** The folder of all sessions' workspaces. */
  readonly workspaces: string;
}

const UUID = new RegExp(UUID_PATTERN);
const OWNER_FILE = 'owner.json';

/** The process that a worker's folder belongs to. */
interface Owner extends ProcessIdentity {
  readonly host: string;
}

/** The folders of a worker below KSI_DIR: `workers/<worker_id>/<slot>/` while it lives, `workspaces/<session_id>/` for good. */
export class Folders {
  readonly #base: string;
  readonly #own: string;
  readonly #login: string | undefined;

  /** @param login a logged-in Claude configuration that the operator named to the worker (CLAUDE_CONFIG_DIR). */
  constructor(ksiDir: string, workerId: string, login?: string) {
    // Mounts and Claude's project folders are named by real paths.
    this.#base = realFolder(ksiDir);
    this.#own = join(this.#base, 'workers', workerId);
    this.#login = login === undefined || login === '' ? undefined : realFolder(login);
  }

  async start(): Promise<void> {
    await mkdir(this.temporary, { recursive: true, mode: 0o700 });
    await mkdir(this.#workspaces, { recursive: true, mode: 0o700 });
    const owner: Owner = { host: hostname(), pid: process.pid, started: identify(process.pid)?.started ?? '' };
    // At once or not at all: others read it.
    await writeFile(join(this.#own, `${OWNER_FILE}.new`), JSON.stringify(owner));
    await rename(join(this.#own, `${OWNER_FILE}.new`), join(this.#own, OWNER_FILE));
  }

  /** Takes over the folders of dead workers of this host, hands each to `inherit`, and removes it; `onLeft` hears why one stays. */
  async inherit(
    onLeft: (error: unknown) => void,
    inherit: (workerId: string, folder: string) => Promise<void>,
  ): Promise<void> {
    const workers = join(this.#base, 'workers');
    for (const name of await readdir(workers)) {
      if (!name.startsWith('w_')) continue;
      const owner = await readOwner(join(workers, name, OWNER_FILE));
      // Without one it is being made now.
      if (owner === undefined || owner.host !== hostname() || isAlive(owner)) continue;
      const [workerId = name] = name.split('.');
      const mine = join(workers, `${workerId}.${basename(this.#own)}`);
      if (!(await takeOver(join(workers, name), mine))) continue;
      await inherit(workerId, mine);
      await removeAll(mine).catch(onLeft);
    }
  }

  get #workspaces(): string {
    return join(this.#base, 'workspaces');
  }

  /** KSI_DIR. */
  get base(): string {
    return this.#base;
  }

  /** What is this worker's alone. */
  get own(): string {
    return this.#own;
  }

  /** For temporary files of the process itself: they go with it, however it ends. */
  get temporary(): string {
    return join(this.#own, 'tmp');
  }

  async stop(): Promise<void> {
    await removeAll(this.#own);
  }

  /**
   * Makes a slot ready for a run: with nothing of an earlier one, which may have been another owner's.
   * @param lastsMs how long the run may last: a login that expires before is writable, so that Claude can renew it.
   */
  async slot(index: number, lastsMs = 0): Promise<SlotFolders> {
    await this.clear(index);
    const place = join(this.#own, String(index));
    const folders = {
      config: join(place, 'config'),
      home: join(place, 'home'),
      tmp: join(place, 'tmp'),
      work: join(place, 'work'),
    };
    for (const folder of Object.values(folders)) await mkdir(folder, { recursive: true, mode: 0o700 });
    const login = this.#login === undefined ? undefined : await loginIn(this.#login, lastsMs);
    // A link, so that a login renewed by one run is seen by all.
    if (login !== undefined) await symlink(login.file, join(folders.config, CREDENTIALS));
    return { ...folders, mcpConfig: join(place, 'mcp.json'), visible: [place], login, workspaces: this.#workspaces };
  }

  /** Removes what a run has left in its slot: its transcript, whose truth is in the broker, the secrets of its MCP servers, its home. */
  async clear(index: number): Promise<void> {
    await removeAll(join(this.#own, String(index)));
  }

  /** The one working folder of a session, by its real path: Claude files transcripts under it. */
  async workspace(sessionId: string): Promise<string> {
    const folder = join(this.#workspaces, sessionId);
    // A run may have put a link in its place, which would lead the next one out of here, or a file.
    if ((await typeOf(folder)) === 'other') await rm(folder, { recursive: true });
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return folder;
  }

  /** The sessions that have a working folder here. */
  async sessions(): Promise<string[]> {
    try {
      return (await readdir(this.#workspaces)).filter((name) => UUID.test(name));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
  }

  /** When something was last made in or removed from the top of a session's folder, in ms since 1970. */
  async lastChange(sessionId: string): Promise<number> {
    return (await lstat(join(this.#workspaces, sessionId)).catch(() => undefined))?.mtimeMs ?? 0;
  }

  /** Bytes on disk of a session's folder. */
  size(sessionId: string): Promise<number> {
    return bytesOf(join(this.#workspaces, sessionId));
  }

  /**
   * Removes the working folder of a session in which nothing runs. It is moved away first: if `isFree` then says that a run has come, it
   * is moved back. @returns false: it stays.
   */
  async retire(sessionId: string, isFree: () => Promise<boolean>): Promise<boolean> {
    if (!UUID.test(sessionId)) return false;
    const folder = join(this.#workspaces, sessionId);
    const aside = join(this.#own, `retired-${sessionId}`);
    if (!(await takeOver(folder, aside))) return false;
    if (await isFree().catch(() => false)) {
      await removeAll(aside);
      return true;
    }
    // Over the empty folder that the run may have made. One that the run has filled is its own.
    await rename(aside, folder).catch(() => removeAll(aside));
    return false;
  }

  /** Removes the working folder of a session that was deleted. */
  async forget(sessionId: string): Promise<void> {
    if (!UUID.test(sessionId)) return;
    await removeAll(join(this.#workspaces, sessionId));
  }
}

/** The blocks that all of it takes. What vanishes meanwhile takes none. */
async function bytesOf(path: string): Promise<number> {
  const stat = await lstat(path).catch(() => undefined);
  let bytes = (stat?.blocks ?? 0) * 512;
  if (stat?.isDirectory() === true)
    for (const name of await readdir(path).catch(() => [])) bytes += await bytesOf(join(path, name));
  return bytes;
}

async function typeOf(path: string): Promise<'folder' | 'other' | 'missing'> {
  try {
    return (await lstat(path)).isDirectory() ? 'folder' : 'other';
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'missing';
    throw error;
  }
}

/** @returns the real path; of a folder that is still to be made, the one that was given. */
function realFolder(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return resolve(path);
    throw error;
  }
}

async function readOwner(file: string): Promise<Owner | undefined> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Owner;
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Of two that find the same dead worker, one gets its folder. */
async function takeOver(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}
