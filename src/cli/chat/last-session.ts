import { join } from 'node:path';
import { readState, stateFolder, writeState } from '../state.js';

/** The maximum number of folders. The least recently used are removed. */
const MAX_FOLDERS = 500;

/** The last session of a folder and API, stored in `chat.json` of the user's state folder. */
export class LastSession {
  readonly #file: string;
  readonly #key: string;

  constructor(env: Readonly<Record<string, string | undefined>>, cwd: string, url: string) {
    this.#file = join(stateFolder(env), 'chat.json');
    this.#key = `${cwd} ${url}`;
  }

  get(): string | undefined {
    return this.#read()[this.#key];
  }

  /** @throws errors of the file system. */
  set(session: string): void {
    const { [this.#key]: before, ...others } = this.#read();
    if (before === session && Object.keys(this.#read()).at(-1) === this.#key) return;
    const kept = Object.entries({ ...others, [this.#key]: session }).slice(-MAX_FOLDERS);
    writeState(this.#file, `${JSON.stringify(Object.fromEntries(kept), undefined, 2)}\n`);
  }

  /** A malformed file counts as empty. */
  #read(): Record<string, string> {
    try {
      const known: unknown = JSON.parse(readState(this.#file));
      if (typeof known !== 'object' || known === null) return {};
      return Object.fromEntries(
        Object.entries(known).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
      );
    } catch {
      return {};
    }
  }
}
