import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** A file as it was read, or why it can't be used. */
export type ReadFile<T> =
  { readonly name: string; readonly value: T } | { readonly name: string; readonly problem: string };

interface Kept<T> {
  readonly version: string;
  readonly read: ReadFile<T>;
}

export interface FolderOptions<T> {
  readonly path: string;
  /** What the names of its files end with: the rest is the name that they go by. */
  readonly endings: readonly string[];
  /** Which names there may be. */
  readonly named: RegExp;
  readonly mostBytes: number;
  /** @throws {Error} that says what is wrong with the file. */
  readonly parse: (text: string, name: string) => T;
}

const MOST_FILES = 2_000;

/** The files of one kind in a folder. One is read again only when it has changed. */
export class Folder<T> {
  readonly #options: FolderOptions<T>;
  #kept: ReadonlyMap<string, Kept<T>> = new Map();

  constructor(options: FolderOptions<T>) {
    this.#options = options;
  }

  /** By name. None, if there is no such folder. @throws {Error} if it can't be read. */
  async read(): Promise<ReadFile<T>[]> {
    const kept = new Map<string, Kept<T>>();
    for (const file of await this.#files()) {
      const name = this.#nameOf(file);
      if (name === undefined) continue;
      const known = this.#kept.get(file);
      const now = await this.#readOne(join(this.#options.path, file), name, known);
      if (now !== undefined) kept.set(file, now);
    }
    this.#kept = kept;
    return [...kept.values()].map(({ read }) => read);
  }

  async #files(): Promise<string[]> {
    try {
      return (await readdir(this.#options.path)).toSorted().slice(0, MOST_FILES);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
  }

  #nameOf(file: string): string | undefined {
    const { endings, named } = this.#options;
    const ending = endings.find((each) => file.endsWith(each));
    const name = ending === undefined ? undefined : file.slice(0, -ending.length);
    return name !== undefined && named.test(name) ? name : undefined;
  }

  /** Undefined: it is gone, or no file. */
  async #readOne(path: string, name: string, known: Kept<T> | undefined): Promise<Kept<T> | undefined> {
    const { mostBytes, parse } = this.#options;
    try {
      const found = await stat(path);
      if (!found.isFile()) return undefined;
      const version = `${found.mtimeMs}/${found.size}/${found.ino}`;
      if (known?.version === version) return known;
      if (found.size > mostBytes) return { version, read: { name, problem: `It has more than ${mostBytes} bytes` } };
      return { version, read: { name, value: parse(await readFile(path, 'utf8'), name) } };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      // No version: what can't be read now may be later, without a change that could be seen (of its mode, for example).
      return { version: '', read: { name, problem: error instanceof Error ? error.message : String(error) } };
    }
  }
}
