import { join } from 'node:path';
import { readState, stateFolder, writeState } from '../state.js';

/** Folders that are remembered; those used longest ago are forgotten first. */
const MOST = 500;

/** Which session a folder last chatted in, at which API: kept in `chat.json` of the user's state folder. */
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

  /** @throws what the file system does. */
  set(session: string): void {
    const { [this.#key]: before, ...others } = this.#read();
    if (before === session && Object.keys(this.#read()).at(-1) === this.#key) return;
    const kept = Object.entries({ ...others, [this.#key]: session }).slice(-MOST);
    writeState(this.#file, `${JSON.stringify(Object.fromEntries(kept), undefined, 2)}\n`);
  }

  /** A file that is not ours, or half of one, is as none. */
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
