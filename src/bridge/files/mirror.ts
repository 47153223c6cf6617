import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { bytesOf } from '../move/json-file.js';
import { replaceFile } from './replace.js';
import type { WorkDir } from './work-dir.js';

/**
 * Files of KSI's in the working folder, for clients that read them: written when KSI's change, and left alone from when somebody else
 * has changed them.
 */
export class Mirror {
  readonly #dir: WorkDir;
  readonly #notes: string;
  #written: Record<string, string> | undefined;

  constructor(dir: WorkDir) {
    this.#dir = dir;
    this.#notes = join(dir.own, 'mirror.json');
  }

  /** @returns whether the file is KSI's now. */
  async put(path: string, content: string): Promise<boolean> {
    const written = await this.#known();
    const key = relative(this.#dir.root, path);
    const there = await bytesOf(path);
    if (there?.equals(Buffer.from(content)) === true) return true;
    if (there !== undefined && written[key] !== digest(there)) return false;
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await replaceFile(path, content);
    written[key] = digest(content);
    await replaceFile(this.#notes, JSON.stringify(written));
    return true;
  }

  /** Whether a file is as it was written here: nobody has said anything new by it. */
  async isOwn(path: string): Promise<boolean> {
    const there = await bytesOf(path);
    return there !== undefined && (await this.#known())[relative(this.#dir.root, path)] === digest(there);
  }

  async #known(): Promise<Record<string, string>> {
    if (this.#written === undefined) {
      const notes = await bytesOf(this.#notes);
      this.#written = notes === undefined ? {} : (JSON.parse(notes.toString('utf8')) as Record<string, string>);
    }
    return this.#written;
  }
}

const digest = (content: Uint8Array | string): string => createHash('sha256').update(content).digest('hex');
