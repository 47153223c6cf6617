import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { bytesOf } from '../migration/json-file.js';
import { replaceFile } from './replace.js';
import type { WorkDir } from './work-dir.js';

/** Copies KSI's files into the working folder for clients that read them. A copy that someone else has changed is left alone. */
export class Mirror {
  readonly #dir: WorkDir;
  readonly #notes: string;
  #written: Promise<Record<string, string>> | undefined;

  constructor(dir: WorkDir) {
    this.#dir = dir;
    this.#notes = join(dir.own, 'mirror.json');
  }

  /** @returns false if someone else has changed the file, which is then left as it is */
  async put(path: string, content: string): Promise<boolean> {
    const written = await this.#known();
    const key = relative(this.#dir.root, path);
    const present = await bytesOf(path);
    if (present?.equals(Buffer.from(content)) === true) return true;
    if (present !== undefined && written[key] !== digest(present)) return false;
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await replaceFile(path, content);
    written[key] = digest(content);
    await replaceFile(this.#notes, JSON.stringify(written));
    return true;
  }

  /** Whether a file is unchanged since this class wrote it. */
  async isOwn(path: string): Promise<boolean> {
    const present = await bytesOf(path);
    return present !== undefined && (await this.#known())[relative(this.#dir.root, path)] === digest(present);
  }

  #known(): Promise<Record<string, string>> {
    return (this.#written ??= bytesOf(this.#notes).then((notes) =>
      notes === undefined ? {} : (JSON.parse(notes.toString('utf8')) as Record<string, string>),
    ));
  }
}

const digest = (content: Uint8Array | string): string => createHash('sha256').update(content).digest('hex');
