import { appendFile, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ifExists } from '../../if-exists.js';
import { replaceFile } from './replace.js';
import type { WorkDir } from './work-dir.js';

/** The end of the log that is read at the start, to recognise messages written after the stored cursor. */
const TAIL_BYTES = 1 << 20;
/** The cursor is stored after this many bytes, so that the messages after it are in the log's end. */
const KEEP_EVERY_BYTES = TAIL_BYTES / 4;
/** The old daemon's limit of `history_size`. */
const MAX_HISTORY = 1000;

/** `claude_logs/message_bus.jsonl`: each message once and in order, with the cursor of the last one. */
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

  /** @returns the stored cursor, or undefined if there is none */
  async open(): Promise<string | undefined> {
    this.#cursor = (await ifExists(readFile(this.#cursorFile, 'utf8')))?.trim();
    const lines = await tailOf(this.#file);
    // A crash or a full disk may have left a partial line. End it, so that the next line stays intact.
    if ((lines.at(-1) ?? '') !== '') await appendFile(this.#file, '\n');
    const ids = lines.flatMap((line) => /^\{"id":"([^"]+)"/.exec(line)?.[1] ?? []);
    this.#seen = new Set(ids);
    this.#size = Math.min(MAX_HISTORY, ids.length);
    return this.#cursor;
  }

  get size(): number {
    return this.#size;
  }

  /** @param message its first field must be `id` */
  async append(message: Readonly<Record<string, unknown>> & { readonly id: string }, cursor: string): Promise<void> {
    this.#cursor = cursor;
    if (this.#seen.has(message.id)) return;
    const line = `${JSON.stringify(message)}\n`;
    await appendFile(this.#file, line, { mode: 0o600 });
    this.#size = Math.min(MAX_HISTORY, this.#size + 1);
    this.#sinceKept += Buffer.byteLength(line);
    if (this.#sinceKept >= KEEP_EVERY_BYTES) await this.keep();
  }

  /** Stores the cursor. */
  async keep(): Promise<void> {
    if (this.#cursor === undefined) return;
    this.#sinceKept = 0;
    await replaceFile(this.#cursorFile, this.#cursor);
  }
}

/** The last lines. Those before the tail, and a line that starts before it, are left out. */
async function tailOf(path: string): Promise<string[]> {
  const file = await ifExists(open(path, 'r'));
  if (file === undefined) return [];
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
