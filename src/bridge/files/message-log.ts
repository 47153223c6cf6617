import { appendFile, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { replaceFile } from './replace.js';
import type { WorkDir } from './work-dir.js';

/** How much of the log's end is looked at for what was written before a crash. */
const TAIL_BYTES = 1 << 20;
/** The cursor is kept after so many bytes of messages; those after it are known by their ids in the log's end. */
const KEEP_EVERY_BYTES = TAIL_BYTES / 4;
/** What the old daemon remembered at the most: `history_size`. */
const MOST_HISTORY = 1000;

/** `claude_logs/message_bus.jsonl`: every message, in order, once; and up to where in KSI's events that is. */
export class MessageLog {
  readonly #file: string;
  readonly #cursorFile: string;
  #seen = new Set<string>();
  #cursor: string | undefined;
  #sinceKept = 0;
  #size = 0;

  constructor(dir: WorkDir) {
    this.#file = join(dir.logs, 'message_bus.jsonl');
    this.#cursorFile = join(dir.own, 'message_bus.cursor');
  }

  /** @returns the cursor of what was written last; undefined: nothing was. */
  async open(): Promise<string | undefined> {
    this.#cursor = await textOf(this.#cursorFile);
    const lines = await tailOf(this.#file);
    // Half a line, of a crash or a full disk, must not take the next one with it.
    if ((lines.at(-1) ?? '') !== '') await appendFile(this.#file, '\n');
    const ids = lines.flatMap((line) => /^\{"id":"([^"]+)"/.exec(line)?.[1] ?? []);
    this.#seen = new Set(ids);
    this.#size = Math.min(MOST_HISTORY, ids.length);
    return this.#cursor;
  }

  get size(): number {
    return this.#size;
  }

  /** @param message with its `id` first. */
  async append(message: Readonly<Record<string, unknown>> & { readonly id: string }, cursor: string): Promise<void> {
    this.#cursor = cursor;
    if (this.#seen.has(message.id)) return;
    const line = `${JSON.stringify(message)}\n`;
    await appendFile(this.#file, line, { mode: 0o600 });
    this.#size = Math.min(MOST_HISTORY, this.#size + 1);
    this.#sinceKept += Buffer.byteLength(line);
    if (this.#sinceKept >= KEEP_EVERY_BYTES) await this.keep();
  }

  /** Writes the cursor down. */
  async keep(): Promise<void> {
    if (this.#cursor === undefined) return;
    this.#sinceKept = 0;
    await replaceFile(this.#cursorFile, this.#cursor);
  }
}

async function textOf(path: string): Promise<string | undefined> {
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** The last whole lines. */
async function tailOf(path: string): Promise<string[]> {
  let file;
  try {
    file = await open(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  try {
    const { size } = await file.stat();
    const from = Math.max(0, size - TAIL_BYTES);
    const bytes = Buffer.alloc(size - from);
    await file.read(bytes, 0, bytes.length, from);
    const lines = bytes.toString('utf8').split('\n');
    return from === 0 ? lines : lines.slice(1);
  } finally {
    await file.close();
  }
}
