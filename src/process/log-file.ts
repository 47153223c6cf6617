import { closeSync, fstatSync, openSync, statSync, writeSync } from 'node:fs';
import { systemClock } from '../clock.js';

const STDERR = 2;
/** How often to check whether the file was renamed or deleted. */
const CHECK_INTERVAL_MS = 1_000;
/** A full pipe usually drains quickly. A reader that has stopped must not block this process for long. */
const MAX_TRIES = 20;
const PAUSE_MS = 5;

/**
 * Writes log lines to the file `path`, or to stderr without a path. No failure ends the process. It drops a line that cannot be written.
 * Before the next line, it writes how many lines were dropped, and why.
 */
export class LogFile {
  readonly #path: string | undefined;
  #fd = STDERR;
  #lookedAt = 0;
  #dropped = 0;
  #why = '';
  /** Whether the last line was written only in part. */
  #torn = false;

  constructor(path: string | undefined) {
    this.#path = path;
    this.reopen();
  }

  write(line: string): void {
    if (performance.now() - this.#lookedAt > CHECK_INTERVAL_MS) this.#follow();
    try {
      if (this.#dropped > 0) this.#writeAll(this.#droppedLine());
      this.#dropped = 0;
      this.#writeAll(line);
    } catch (error) {
      this.#dropped += 1;
      this.#why = (error as NodeJS.ErrnoException).code ?? String(error);
    }
  }

  /** Starts a new file if the old one was renamed or deleted. */
  reopen(): void {
    this.#lookedAt = performance.now();
    if (this.#path === undefined) return;
    try {
      const fd = openSync(this.#path, 'a', 0o600);
      if (this.#fd !== STDERR) closeSync(this.#fd);
      this.#fd = fd;
      this.#torn = false;
    } catch {
      // The old file, or stderr, still takes lines.
    }
  }

  #follow(): void {
    this.#lookedAt = performance.now();
    if (this.#path === undefined) return;
    try {
      const [at, ours] = [statSync(this.#path), fstatSync(this.#fd)];
      if (at.ino === ours.ino && at.dev === ours.dev) return;
    } catch {
      // The file was renamed or deleted, and there is no new one yet.
    }
    this.reopen();
  }

  #droppedLine(): string {
    const msg = `${this.#dropped} log lines could not be written (${this.#why})`;
    return `${JSON.stringify({ level: 40, time: systemClock.now(), pid: process.pid, msg })}\n`;
  }

  #writeAll(text: string): void {
    const bytes = Buffer.from(this.#torn ? `\n${text}` : text);
    for (let offset = 0, tries = 0; offset < bytes.length;) {
      try {
        offset += writeSync(this.#fd, bytes, offset);
        this.#torn = offset < bytes.length;
      } catch (error) {
        // After a dropped line, do not wait for the same reader again.
        const limit = this.#dropped > 0 ? 0 : MAX_TRIES;
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN' || ++tries > limit) throw error;
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS);
      }
    }
  }
}
