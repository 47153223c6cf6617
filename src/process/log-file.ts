import { closeSync, fstatSync, openSync, statSync, writeSync } from 'node:fs';
import { systemClock } from '../clock.js';

const STDERR = 2;
/** How often a log looks whether its file was renamed or deleted. */
const LOOK_MS = 1_000;
/** A pipe that is full takes more in a moment. A reader that has stopped must not stop us. */
const TRIES = 20;
const PAUSE_MS = 5;

/**
 * Where a process writes its log lines: the file `path`, else stderr. No failure ends the process. A line that cannot be written is
 * dropped; the next line that can be written is preceded by how many were dropped, and why.
 */
export class LogFile {
  readonly #path: string | undefined;
  #fd = STDERR;
  #lookedAt = 0;
  #dropped = 0;
  #why = '';
  /** The last line was cut off. */
  #torn = false;

  constructor(path: string | undefined) {
    this.#path = path;
    this.reopen();
  }

  write(line: string): void {
    if (performance.now() - this.#lookedAt > LOOK_MS) this.#follow();
    try {
      if (this.#dropped > 0) this.#writeAll(this.#droppedLine());
      this.#dropped = 0;
      this.#writeAll(line);
    } catch (error) {
      this.#dropped += 1;
      this.#why = (error as NodeJS.ErrnoException).code ?? String(error);
    }
  }

  /** Begins a new file if the old one was renamed or deleted. */
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
      // It was renamed or deleted, and nobody has made a new one.
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
        // Its reader had its time when the last line was dropped.
        const most = this.#dropped > 0 ? 0 : TRIES;
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN' || ++tries > most) throw error;
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS);
      }
    }
  }
}
