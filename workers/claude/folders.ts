import { randomUUID } from 'node:crypto';
import { chmod, lstat, mkdir, readdir, readFile, rename, symlink, unlink, writeFile } from 'node:fs/promises';
import { realpathSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { UUID_PATTERN } from '../../contracts/wire/names.js';
import { removeAll, type Left } from './remove.js';
import { identify, isAlive, type ProcessIdentity } from '../../src/process/identity.js';
import { CREDENTIALS, loginIn } from './login.js';
import type { Login } from './sandbox.js';
import { ifExists, ifExistsSync } from '../../src/if-exists.js';

/** The folders of one slot. Concurrent runs would corrupt a shared configuration folder (docs/design/facts.md#one-configuration-folder-per-run). */
export interface SlotFolders {
  readonly config: string;
  readonly home: string;
  /** The output of Claude's background commands. */
  readonly tmp: string;
  /** The path for the configuration of the run's MCP servers. The file does not exist yet. */
  readonly mcpConfig: string;
  /** A folder that can become a new session's workspace. */
  readonly work: string;
  /** The paths that a run in this slot may write, beside its workspace. */
  readonly visible: readonly string[];
  /** The operator's login. Undefined: there is none. */
  readonly login: Login | undefined;
  /** The folder of all sessions' workspaces. */
  readonly workspaces: string;
}

const UUID = new RegExp(UUID_PATTERN);
const OWNER_FILE = 'owner.json';

/** The process that owns a worker's folder. */
interface Owner extends ProcessIdentity {
  readonly host: string;
}

/** A folder that was moved away for removal. */
export interface Aside {
  /** The folder's current path. */
  readonly path: string;
  readonly remove: () => Promise<Left[]>;
}

/** Leftovers of an earlier run could not be removed. */
export class NotRemoved extends Error {
  override readonly name = 'NotRemoved';
  constructor(what: string, left: readonly Left[]) {
    super(`${what} cannot be removed: ${left.map(({ path, reason }) => `${path} (${reason})`).join(', ')}`);
  }
}

/**
 * The folders of a worker below KSI_DIR: `workers/<worker_id>/<slot>/` while it lives, `workspaces/<session_id>/` until the session is deleted.
 * `deleted/` contains folders that are not removed yet. A folder moves there first, so that its name is free. If a folder cannot be moved,
 * `deleted/` contains an empty file with its name.
 */
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
    await mkdir(this.#deleted, { recursive: true, mode: 0o700 });
    const owner: Owner = { host: hostname(), pid: process.pid, started: identify(process.pid)?.started ?? '' };
    // Atomically, because other processes read the file.
    await writeFile(join(this.#own, `${OWNER_FILE}.new`), JSON.stringify(owner));
    await rename(join(this.#own, `${OWNER_FILE}.new`), join(this.#own, OWNER_FILE));
  }

  /** Takes over the folders of dead workers of this host: passes each to `inherit`, then moves it to `deleted/`. */
  async inherit(inherit: (workerId: string, folder: string) => Promise<void>): Promise<void> {
    const workers = join(this.#base, 'workers');
    for (const name of await readdir(workers)) {
      if (!name.startsWith('w_')) continue;
      const owner = await readOwner(join(workers, name, OWNER_FILE));
      // A folder without an owner file is being created.
      if (owner === undefined || owner.host !== hostname() || isAlive(owner)) continue;
      const [workerId = name] = name.split('.');
      const ownFolder = join(workers, `${workerId}.${basename(this.#own)}`);
      if (!(await takeOver(join(workers, name), ownFolder))) continue;
      await inherit(workerId, ownFolder);
      await rename(ownFolder, join(this.#deleted, basename(ownFolder)));
    }
  }

  get #workspaces(): string {
    return join(this.#base, 'workspaces');
  }

  get #deleted(): string {
    return join(this.#base, 'deleted');
  }

  /** KSI_DIR. */
  get base(): string {
    return this.#base;
  }

  /** This worker's own folder. */
  get own(): string {
    return this.#own;
  }

  /** The folder for the process's own temporary files. It is removed after the process, however that ends. */
  get temporary(): string {
    return join(this.#own, 'tmp');
  }

  /** @returns the leftovers that the next worker on this host has to remove. */
  async stop(): Promise<Left[]> {
    return (await this.#setAside(this.#own, basename(this.#own)))?.remove() ?? [];
  }

  /** The names in `deleted/`. */
  deleted(): Promise<string[]> {
    return namesIn(this.#deleted);
  }

  /** @param name one of `deleted`. */
  removeDeleted(name: string): Promise<Left[]> {
    return UUID.test(name) ? this.#removeInPlace(name) : removeAll(join(this.#deleted, name));
  }

  /**
   * Prepares a slot for a run. Removes all files of earlier runs, which may have been another owner's.
   * @param lastsMs how long the run may last. A login that expires earlier is writable, so that Claude can renew it.
   * @throws {NotRemoved}
   */
  async slot(index: number, lastsMs = 0): Promise<SlotFolders> {
    const left = await this.clear(index);
    if (left.length > 0) throw new NotRemoved(`What an earlier run left in slot ${index}`, left);
    const place = join(this.#own, String(index));
    const folders = {
      config: join(place, 'config'),
      home: join(place, 'home'),
      tmp: join(place, 'tmp'),
      work: join(place, 'work'),
    };
    for (const folder of Object.values(folders)) await mkdir(folder, { recursive: true, mode: 0o700 });
    const login = this.#login === undefined ? undefined : await loginIn(this.#login, lastsMs);
    // A link, so that all runs see a login that one run renewed.
    if (login !== undefined) await symlink(login.file, join(folders.config, CREDENTIALS));
    return { ...folders, mcpConfig: join(place, 'mcp.json'), visible: [place], login, workspaces: this.#workspaces };
  }

  /** Removes the files of a run from its slot: its copy of the transcript, the secrets of its MCP servers, its home. */
  clear(index: number): Promise<Left[]> {
    return removeAll(join(this.#own, String(index)));
  }

  /**
   * The working folder of a session, by its real path: Claude stores transcripts by that path.
   * @param isStale whether a folder with this creation time, in ms since 1970, is from a deleted session of the same id.
   * @param forget removes such a folder.
   * @throws {NotRemoved}
   */
  async workspace(
    sessionId: string,
    isStale: (madeAt: number) => Promise<boolean>,
    forget: () => Promise<readonly Left[]>,
  ): Promise<string> {
    const folder = join(this.#workspaces, sessionId);
    const there = await ifExists(lstat(folder));
    // A run may have replaced the folder by a file, or by a link that leads elsewhere.
    const wrong = there !== undefined && (!there.isDirectory() || (await isStale(there.birthtimeMs)));
    if (wrong || (await this.#isMarked(sessionId))) {
      const left = await forget();
      if (await this.#isMarked(sessionId)) throw new NotRemoved('The folder of a deleted session', left);
    }
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return folder;
  }

  /** The sessions with a working folder on this host, with its creation time in ms since 1970. */
  async sessions(): Promise<{ readonly sessionId: string; readonly madeAt: number }[]> {
    const found = [];
    for (const sessionId of await namesIn(this.#workspaces)) {
      const { birthtimeMs: madeAt } = (await ifExists(lstat(join(this.#workspaces, sessionId)))) ?? {};
      if (madeAt !== undefined) found.push({ sessionId, madeAt });
    }
    return found;
  }

  /** The path of a session's folder, which need not exist. Undefined: the id is no session's. */
  pathOf(sessionId: string): string | undefined {
    return UUID.test(sessionId) ? join(this.#workspaces, sessionId) : undefined;
  }

  /** When an entry was last created in or removed from the top level of a session's folder, in ms since 1970. */
  async lastChange(sessionId: string): Promise<number> {
    return (await lstat(join(this.#workspaces, sessionId)).catch(() => undefined))?.mtimeMs ?? 0;
  }

  /** @returns the bytes on disk of a session's folder; undefined when `signal` aborted before all was counted */
  async size(sessionId: string, signal?: AbortSignal): Promise<number | undefined> {
    const bytes = UUID.test(sessionId) ? await bytesOf(join(this.#workspaces, sessionId), signal) : 0;
    return signal?.aborted === true ? undefined : bytes;
  }

  /**
   * Removes the working folder of an idle session. The folder is moved away first. If `isFree` then reports a new run, it is moved back.
   * @returns false: the folder stays.
   */
  async retire(sessionId: string, isFree: () => Promise<boolean>): Promise<boolean> {
    if (!UUID.test(sessionId)) return false;
    const folder = join(this.#workspaces, sessionId);
    const aside = join(this.#deleted, `${sessionId}.${randomUUID()}`);
    if (!(await takeOver(folder, aside))) return false;
    if (await isFree().catch(() => false)) {
      await removeAll(aside);
      return true;
    }
    // This replaces an empty folder that the run may have created, but not one with files.
    await rename(aside, folder).catch(() => removeAll(aside));
    return false;
  }

  /**
   * Moves the working folder of a deleted session away, so that a later session can use the name.
   * @returns removes the folder; call it until nothing is left. Undefined: there is no folder.
   */
  async setAside(sessionId: string): Promise<Aside | undefined> {
    if (!UUID.test(sessionId)) return undefined;
    const folder = join(this.#workspaces, sessionId);
    const aside = await this.#setAside(folder, `${sessionId}.${randomUUID()}`);
    if (aside?.path !== folder) return aside;
    await writeFile(join(this.#deleted, sessionId), '');
    return { path: folder, remove: () => this.#removeInPlace(sessionId) };
  }

  /** The session's folder must be removed, but could not be moved. */
  async #isMarked(sessionId: string): Promise<boolean> {
    return (await ifExists(lstat(join(this.#deleted, sessionId)))) !== undefined;
  }

  async #removeInPlace(sessionId: string): Promise<Left[]> {
    // Without the mark the folder was removed, and the current one belongs to a later session.
    if (!(await this.#isMarked(sessionId))) return [];
    const left = await removeAll(join(this.#workspaces, sessionId));
    if (left.length === 0) await unlink(join(this.#deleted, sessionId));
    return left;
  }

  async #setAside(path: string, name: string): Promise<Aside | undefined> {
    const moved = join(this.#deleted, name);
    try {
      await makeMovable(path);
      await rename(path, moved);
      return { path: moved, remove: () => removeAll(moved) };
    } catch (error) {
      // Otherwise the folder is immutable or a mount point.
      return (error as NodeJS.ErrnoException).code === 'ENOENT' ? undefined : { path, remove: () => removeAll(path) };
    }
  }
}

/** Bytes on disk of a folder with all its contents. Files that vanish meanwhile, or come after `signal` aborted, count as 0. */
async function bytesOf(path: string, signal?: AbortSignal): Promise<number> {
  if (signal?.aborted === true) return 0;
  const stat = await lstat(path).catch(() => undefined);
  let bytes = (stat?.blocks ?? 0) * 512;
  if (stat?.isDirectory() === true)
    for (const name of await readdir(path).catch(() => [])) bytes += await bytesOf(join(path, name), signal);
  return bytes;
}

/** A folder without permissions cannot be moved to another one, except by root. */
async function makeMovable(path: string): Promise<void> {
  const stat = await lstat(path);
  if (stat.isDirectory() && (stat.mode & 0o300) !== 0o300) await chmod(path, 0o700);
}

const namesIn = async (folder: string): Promise<string[]> => (await ifExists(readdir(folder))) ?? [];

/** @returns the real path, or `path` itself if the folder does not exist yet. */
const realFolder = (path: string): string => ifExistsSync(() => realpathSync(path)) ?? resolve(path);

async function readOwner(file: string): Promise<Owner | undefined> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Owner;
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** If two processes find the same dead worker, only one gets its folder. */
const takeOver = async (from: string, to: string): Promise<boolean> =>
  (await ifExists(rename(from, to).then(() => true))) ?? false;
