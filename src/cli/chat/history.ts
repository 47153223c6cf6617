import { join } from 'node:path';
import { appendState, readState, stateFolder, writeState } from '../state.js';

/** The maximum number of entries. */
const MAX_ENTRIES = 1_000;
/** Longer entries are pasted text and are not stored. */
const MAX_CHARS = 10_000;

/** The input history of chats, newest first. It is stored in `chat_history`, one JSON string per line, readable only by the user. */
export class History {
  readonly #file: string;
  readonly entries: readonly string[];

  constructor(env: Readonly<Record<string, string | undefined>>) {
    this.#file = join(stateFolder(env), 'chat_history');
    const lines = readState(this.#file).split('\n');
    if (lines.length > 2 * MAX_ENTRIES) this.#trim(lines);
    this.entries = lines.slice(-MAX_ENTRIES).flatMap(textOf).reverse();
  }

  /** Shortens the file, if it can be written. */
  #trim(lines: readonly string[]): void {
    try {
      writeState(this.#file, lines.slice(-MAX_ENTRIES).join('\n'));
    } catch {
      return;
    }
  }

  /** @throws errors of the file system. */
  add(entry: string): void {
    if (entry.trim() !== '' && entry.length <= MAX_CHARS) appendState(this.#file, `${JSON.stringify(entry)}\n`);
  }
}

function textOf(line: string): string[] {
  try {
    const entry: unknown = JSON.parse(line);
    return typeof entry === 'string' ? [entry] : [];
  } catch {
    return []; // A truncated line.
  }
}
