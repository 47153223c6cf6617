import { join } from 'node:path';
import { appendState, readState, stateFolder, writeState } from '../state.js';

/** Entries that are offered again. */
const MOST = 1_000;
/** Longer ones were pasted. */
const MOST_CHARS = 10_000;

/** What was typed in chats, the newest first: kept in `chat_history`, a JSON text a line, for its user's eyes alone. */
export class History {
  readonly #file: string;
  readonly entries: readonly string[];

  constructor(env: Readonly<Record<string, string | undefined>>) {
    this.#file = join(stateFolder(env), 'chat_history');
    const lines = readState(this.#file).split('\n');
    if (lines.length > 2 * MOST) this.#trim(lines);
    this.entries = lines.slice(-MOST).flatMap(textOf).reverse();
  }

  /** A file that cannot be written is as long as it is. */
  #trim(lines: readonly string[]): void {
    try {
      writeState(this.#file, lines.slice(-MOST).join('\n'));
    } catch {
      return;
    }
  }

  /** @throws what the file system does. */
  add(entry: string): void {
    if (entry.trim() !== '' && entry.length <= MOST_CHARS) appendState(this.#file, `${JSON.stringify(entry)}\n`);
  }
}

function textOf(line: string): string[] {
  try {
    const entry: unknown = JSON.parse(line);
    return typeof entry === 'string' ? [entry] : [];
  } catch {
    return []; // The end of a file that was cut.
  }
}
