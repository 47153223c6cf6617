import { randomUUID } from 'node:crypto';
import { appendFileSync, lstatSync, mkdirSync, realpathSync, type BigIntStats } from 'node:fs';
import { lstat, readdir, readFile, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { Logger } from 'pino';
import { Type, type Static } from 'typebox';
import { check } from '../../contracts/wire/check.js';
import { UUID_PATTERN } from '../../contracts/wire/names.js';
import { isWithin } from '../../src/workspaces/path-within.js';
import { isRecord, parseJson } from '../../src/json.js';
import type { Aside } from './folders.js';
import { FolderMoved, openFolder } from './open-folder.js';
import { removeAll, type Left } from './remove.js';
import { ifExists } from '../../src/if-exists.js';

const UUID = new RegExp(UUID_PATTERN);
/** Where Claude Code makes worktrees, below the repository. */
const PLACE = /\/\.claude\/worktrees\/(?!\.{1,2}$)[^/]+$/;

const Noted = Type.Object({ path: Type.String(), id: Type.String() });
type Noted = Static<typeof Noted>;

/** The worktrees that the session or a subagent created, by its transcript entries. Worktrees that it only entered are left out. Pure. */
export function worktreesIn(entries: readonly Readonly<Record<string, unknown>>[]): string[] {
  return entries.flatMap((entry) => {
    const made = entry['type'] === 'worktree-state' ? entry['worktreeSession'] : entry;
    if (entry['type'] !== 'worktree-state' && entry['type'] !== 'agent_metadata') return [];
    if (!isRecord(made) || made['enteredExisting'] === true) return [];
    const path = made['worktreePath'];
    return typeof path === 'string' && PLACE.test(path) ? [path] : [];
  });
}

/**
 * The git worktrees that Claude created in the operator's workspaces. `worktrees/<session_id>` below KSI_DIR lists those of a session, so that
 * they are removed with it: they are not in the session's folder. Their branches stay, because they may have commits.
 */
export class Worktrees {
  readonly #base: string;
  readonly #notes: string;
  readonly #deleted: string;

  readonly #log: Logger;

  /** @param base KSI_DIR. */
  constructor(base: string, log: Logger) {
    this.#log = log;
    this.#base = base;
    this.#notes = join(base, 'worktrees');
    this.#deleted = join(base, 'deleted');
  }

  /**
   * Records the worktrees in the entries. Repeated records count once. Never throws: a leftover worktree must not fail a run.
   * @param workspace the workspace in which the run may write. The run's processes can forge entries, so worktrees elsewhere are ignored.
   */
  note(sessionId: string, workspace: string, entries: readonly Readonly<Record<string, unknown>>[]): void {
    for (const path of worktreesIn(entries)) {
      try {
        const there = lstatSync(path, { bigint: true, throwIfNoEntry: false });
        if (
          there === undefined ||
          !isWithin(path, workspace) ||
          isWithin(path, this.#base) ||
          realpathSync(path) !== path
        )
          continue;
        mkdirSync(this.#notes, { recursive: true, mode: 0o700 });
        appendFileSync(join(this.#notes, sessionId), `${JSON.stringify({ path, id: idOf(there) } satisfies Noted)}\n`);
      } catch (error) {
        this.#log.warn({ err: error, session_id: sessionId, path }, 'a worktree will not be removed with its session');
      }
    }
  }

  /** The sessions with records, with the time of the last record in ms since 1970. */
  async sessions(): Promise<{ readonly sessionId: string; readonly madeAt: number }[]> {
    const names = (await ifExists(readdir(this.#notes))) ?? [];
    const found = names.map(async (sessionId) => {
      const there = await ifExists(stat(join(this.#notes, sessionId)));
      return there === undefined ? [] : [{ sessionId, madeAt: there.mtimeMs }];
    });
    return (await Promise.all(found)).flat();
  }

  /**
   * Removes the worktrees of a deleted session from their repositories. A worktree that another session uses too stays until that session is
   * deleted. @returns removes the worktrees; call it until nothing is left.
   */
  async setAside(sessionId: string): Promise<Aside[]> {
    if (!UUID.test(sessionId)) return [];
    const noted = await this.#noted(sessionId);
    if (noted.length === 0) return [];
    const others = (await this.sessions()).filter((each) => each.sessionId !== sessionId);
    const used = (await Promise.all(others.map((each) => this.#noted(each.sessionId)))).flat().map(({ id }) => id);
    const pending = new Map<string, Aside>();
    for (const each of noted.filter(({ id }) => !used.includes(id))) {
      const aside = await this.#move(each, `${sessionId}.${randomUUID()}`);
      if (aside !== undefined) pending.set(aside.path, aside);
    }
    const forget = async (): Promise<void> => {
      if (pending.size === 0) await rm(join(this.#notes, sessionId), { force: true });
    };
    await forget();
    return [...pending.values()].map(({ path, remove }) => ({
      path,
      remove: async () => {
        const left = await remove();
        if (left.length === 0) pending.delete(path);
        await forget();
        return left;
      },
    }));
  }

  async #noted(sessionId: string): Promise<Noted[]> {
    const notes = (await ifExists(readFile(join(this.#notes, sessionId), 'utf8'))) ?? '';
    const read = notes.split('\n').map((line) => check(Noted, parseJson(Buffer.from(line))));
    const all = read.flatMap((noted) => (noted.ok ? [noted.value] : []));
    return [...new Map(all.map((noted) => [noted.id, noted])).values()];
  }

  /** Moves the worktree away first, so that other runs cannot put links into it during the removal. On another file system it is removed in place. */
  async #move({ path, id }: Noted, name: string): Promise<Aside | undefined> {
    const moved = join(this.#deleted, name);
    const registration = await registrationOf(path);
    const deregister = async (left: Left[]): Promise<Left[]> =>
      left.length > 0 || registration === undefined ? left : removeAll(registration);
    try {
      const there = await held(path, id, async (at) => rename(at, moved).then(() => true));
      return there === true ? { path: moved, remove: async () => deregister(await removeAll(moved)) } : undefined;
    } catch {
      const remove = async (): Promise<Left[]> => deregister((await held(path, id, removeAll)) ?? []);
      return { path, remove };
    }
  }
}

/** Calls a function with a worktree, if it is still the recorded one. The folder is held open, so no link can replace it. */
async function held<T>(path: string, id: string, act: (at: string) => Promise<T>): Promise<T | undefined> {
  try {
    const folder = openFolder(dirname(path));
    try {
      const at = join(folder.path, basename(path));
      const there = await ifExists(lstat(at, { bigint: true }));
      return there?.isDirectory() === true && idOf(there) === id ? await act(at) : undefined;
    } finally {
      folder.close();
    }
  } catch (error) {
    if (error instanceof FolderMoved) return undefined;
    throw error;
  }
}

/** Git's registration of a worktree in the repository. The two must name each other. */
async function registrationOf(path: string): Promise<string | undefined> {
  const link = join(path, '.git');
  const named = /^gitdir: (.+)$/m.exec((await text(link)) ?? '')?.[1];
  if (named === undefined) return undefined;
  const registration = resolve(path, named);
  const back = ((await text(join(registration, 'gitdir'))) ?? '').trim();
  const real = await realpath(registration).catch(() => undefined);
  return resolve(registration, back) === link && real === registration ? registration : undefined;
}

const text = (file: string): Promise<string | undefined> => readFile(file, 'utf8').catch(() => undefined);

/** Identifies a folder: names and inodes can be reused. */
const idOf = ({ ino, birthtimeNs }: BigIntStats): string => `${ino}.${birthtimeNs}`;
