import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ifExists } from '../if-exists.js';

/** A parsed file, or why it cannot be used. */
export type ReadFile<T> =
  { readonly name: string; readonly value: T } | { readonly name: string; readonly problem: string };

interface CachedFile<T> {
  readonly version: string;
  readonly read: ReadFile<T>;
}

export interface FolderOptions<T> {
  readonly path: string;
  /** File name extensions. The rest of the file name is the name of the item. */
  readonly endings: readonly string[];
  /** The pattern of valid names. Other files are ignored. */
  readonly named: RegExp;
  readonly mostBytes: number;
  /** @throws {Error} why the file is invalid. */
  readonly parse: (text: string, name: string) => T;
}

const MAX_FILES = 2_000;

/** The files of one kind in a folder. Only changed files are read again. */
export class Folder<T> {
  readonly #options: FolderOptions<T>;
  #cached: ReadonlyMap<string, CachedFile<T>> = new Map();

  constructor(options: FolderOptions<T>) {
    this.#options = options;
  }

  /** The files, sorted by name. Empty if the folder does not exist. @throws {Error} if the folder cannot be read. */
  async read(): Promise<ReadFile<T>[]> {
    const current = new Map<string, CachedFile<T>>();
    for (const file of await this.#files()) {
      const name = this.#nameOf(file);
      if (name === undefined) continue;
      const cached = this.#cached.get(file);
      const read = await this.#readOne(join(this.#options.path, file), name, cached);
      if (read !== undefined) current.set(file, read);
    }
    this.#cached = current;
    return [...current.values()].map(({ read }) => read);
  }

  async #files(): Promise<string[]> {
    return ((await ifExists(readdir(this.#options.path))) ?? []).toSorted().slice(0, MAX_FILES);
  }

  #nameOf(file: string): string | undefined {
    const { endings, named } = this.#options;
    const ending = endings.find((each) => file.endsWith(each));
    const name = ending === undefined ? undefined : file.slice(0, -ending.length);
    return name !== undefined && named.test(name) ? name : undefined;
  }

  /** Undefined: it was deleted or is not a file. */
  async #readOne(path: string, name: string, cached: CachedFile<T> | undefined): Promise<CachedFile<T> | undefined> {
    const { mostBytes, parse } = this.#options;
    try {
      const found = await stat(path);
      if (!found.isFile()) return undefined;
      const version = `${found.mtimeMs}/${found.size}/${found.ino}`;
      if (cached?.version === version) return cached;
      if (found.size > mostBytes) return { version, read: { name, problem: `It is larger than ${mostBytes} bytes` } };
      return { version, read: { name, value: parse(await readFile(path, 'utf8'), name) } };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      // No version: the file may become readable without a change of its time or size, for example by `chmod`.
      return { version: '', read: { name, problem: error instanceof Error ? error.message : String(error) } };
    }
  }
}
