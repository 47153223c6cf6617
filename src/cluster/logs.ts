import { watch } from 'node:fs';
import { open, readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { endOfFile } from '../process/file-end.js';
import { clusterPaths } from './paths.js';
import { ifExists } from '../if-exists.js';

/** The names of the cluster's processes that have a log file. */
export async function loggedProcesses(dir: string): Promise<string[]> {
  const names = (await ifExists(readdir(clusterPaths(dir).logs))) ?? [];
  return names
    .filter((name) => name.endsWith('.log'))
    .map((name) => basename(name, '.log'))
    .toSorted();
}

export type LogLine = (process: string, line: string) => void;

/** The last lines of each process's log. */
export async function showLogs(dir: string, processes: readonly string[], lines: number, show: LogLine): Promise<void> {
  const paths = clusterPaths(dir);
  for (const process of processes) {
    const text = await endOfFile(paths.log(process), lines, 4 * 1024 * 1024);
    if (text !== '') for (const line of text.split('\n')) show(process, line);
  }
}

/**
 * Shows new log lines until `signal` aborts, including those of processes that start later.
 * @param wanted names of processes; undefined for all
 */
export async function followLogs(
  dir: string,
  wanted: readonly string[] | undefined,
  show: LogLine,
  signal: AbortSignal,
): Promise<void> {
  const { logs } = clusterPaths(dir);
  const tails = new Map<string, LogFollower>();
  for (const process of await loggedProcesses(dir))
    tails.set(process, new LogFollower(join(logs, `${process}.log`), await sizeOf(join(logs, `${process}.log`))));
  const pending = new Set<Promise<void>>();
  const watcher = watch(logs, { signal }, (_, name) => {
    if (name === null || !name.endsWith('.log')) return;
    const process = basename(name, '.log');
    if (wanted !== undefined && !wanted.includes(process)) return;
    const tail = tails.get(process) ?? new LogFollower(join(logs, name), 0);
    tails.set(process, tail);
    const reading = tail.read((line) => show(process, line)).finally(() => pending.delete(reading));
    pending.add(reading);
  });
  await new Promise<void>((resolve, reject) => {
    watcher.once('error', reject);
    watcher.once('close', resolve);
  });
  await Promise.all(pending);
}

/** Reads the lines that are appended to a file. */
class LogFollower {
  readonly #path: string;
  #offset: number;
  #reading: Promise<void> = Promise.resolve();

  constructor(path: string, offset: number) {
    this.#path = path;
    this.#offset = offset;
  }

  read(show: (line: string) => void): Promise<void> {
    this.#reading = this.#reading.then(() => this.#read(show));
    return this.#reading;
  }

  async #read(show: (line: string) => void): Promise<void> {
    const size = await sizeOf(this.#path);
    // The log was rotated.
    if (size < this.#offset) this.#offset = 0;
    if (size === this.#offset) return;
    const file = await open(this.#path, 'r');
    try {
      const buffer = Buffer.alloc(size - this.#offset);
      const { bytesRead } = await file.read(buffer, 0, buffer.length, this.#offset);
      // Stop at the last newline: the rest may end within a character.
      const end = buffer.subarray(0, bytesRead).lastIndexOf(0x0a) + 1;
      this.#offset += end;
      if (end > 0)
        buffer
          .toString('utf8', 0, end - 1)
          .split('\n')
          .forEach(show);
    } finally {
      await file.close();
    }
  }
}

const sizeOf = async (path: string): Promise<number> => (await ifExists(stat(path)))?.size ?? 0;
