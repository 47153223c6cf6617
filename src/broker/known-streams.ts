import { readFile, rename, writeFile } from 'node:fs/promises';
import type { Logger } from 'pino';
import { isRecord, parseJson } from '../json.js';

/**
 * The streams that a process has seen, with their creation times. They are stored in a file, so that a stream that was lost while the
 * process was down differs from one that was never created.
 */
export class KnownStreams {
  readonly #path: string;
  readonly #log: Logger;
  readonly #createdAt: Map<string, string>;
  #saving: Promise<void> = Promise.resolve();

  private constructor(path: string, log: Logger, createdAt: Map<string, string>) {
    this.#path = path;
    this.#log = log;
    this.#createdAt = createdAt;
  }

  static async open(path: string, log: Logger): Promise<KnownStreams> {
    const stored = parseJson(await readFile(path).catch(() => new Uint8Array()));
    const createdAt = Object.entries(isRecord(stored) ? stored : {}).map(([name, at]) => [name, String(at)] as const);
    return new KnownStreams(path, log, new Map(createdAt));
  }

  has(stream: string): boolean {
    return this.#createdAt.has(stream);
  }

  /** @param created the broker's creation time. @returns whether the stream replaces a known one. */
  saw(stream: string, created: string): boolean {
    const before = this.#createdAt.get(stream);
    if (before === created) return false;
    this.#createdAt.set(stream, created);
    this.#saving = this.#saving.then(() => this.#save());
    return before !== undefined;
  }

  /** Resolves when the file is written. */
  async stop(): Promise<void> {
    await this.#saving;
  }

  /** Never rejects: without the file, only a stream's loss while the process is down goes unreported. */
  async #save(): Promise<void> {
    const draft = `${this.#path}.new`;
    try {
      await writeFile(draft, JSON.stringify(Object.fromEntries(this.#createdAt)), { mode: 0o600 });
      await rename(draft, this.#path);
    } catch (error) {
      this.#log.warn(
        { err: error, path: this.#path },
        'could not write the list of known streams; the loss of a stream while this process is down will not be reported',
      );
    }
  }
}
