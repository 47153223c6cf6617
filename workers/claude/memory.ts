import { readdirSync, readFileSync } from 'node:fs';
import type { Logger } from 'pino';

interface Watched {
  readonly bytes: number;
  readonly onOver: (used: number) => void;
}

const EVERY_MS = 1_000;
/** The largest part of the worker's time that scans may take, however many processes the host has. */
const MAX_TIME_SHARE = 0.02;

/**
 * Watches the memory that all processes of a run use together, and reports when it exceeds the limit. It reads /proc, so there is no limit
 * on systems other than Linux. Processes that left the process tree of their run are not counted.
 */
export class MemoryWatch {
  readonly #log: Logger;
  readonly #watched = new Map<number, Watched>();
  #timer: NodeJS.Timeout | undefined;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** @param pid the run's first process. @param bytes the limit; Infinity: none. @param onOver called once, with the bytes. @returns stops. */
  watch(pid: number, bytes: number, onOver: (used: number) => void): () => void {
    if (bytes === Infinity) return () => undefined;
    this.#watched.set(pid, { bytes, onOver });
    this.#timer ??= setTimeout(this.#look, EVERY_MS);
    return () => {
      this.#watched.delete(pid);
      if (this.#watched.size > 0) return;
      clearTimeout(this.#timer);
      this.#timer = undefined;
    };
  }

  readonly #look = (): void => {
    const began = performance.now();
    try {
      const children = childrenOfAll();
      for (const [pid, { bytes, onOver }] of this.#watched) {
        const used = usedByTree(pid, children);
        if (used <= bytes) continue;
        this.#watched.delete(pid);
        onOver(used);
      }
    } catch (error) {
      this.#log.warn({ err: error }, 'cannot read the memory of processes; the memory of tasks is not limited');
      this.#watched.clear();
    }
    const took = performance.now() - began;
    this.#timer =
      this.#watched.size === 0 ? undefined : setTimeout(this.#look, Math.max(EVERY_MS, took / MAX_TIME_SHARE));
  };
}

type Children = ReadonlyMap<number, readonly number[]>;

function childrenOfAll(): Children {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    // The program's name, in brackets, may contain any character. The parent is the second field after it.
    const stat = readProc(`${name}/stat`);
    const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
    const siblings = children.get(parent);
    if (siblings === undefined) children.set(parent, [Number(name)]);
    else siblings.push(Number(name));
  }
  return children;
}

function usedByTree(root: number, children: Children): number {
  let bytes = 0;
  const open = [root];
  for (let pid = open.pop(); pid !== undefined; pid = open.pop()) {
    bytes += usedBy(pid);
    open.push(...(children.get(pid) ?? []));
  }
  return bytes;
}

/** The private memory of a process. Pages of files are shared and can be freed. */
function usedBy(pid: number): number {
  const status = readProc(`${pid}/status`);
  const kB = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0);
  return (kB('RssAnon') + kB('RssShmem')) * 1_024;
}

function readProc(path: string): string {
  try {
    return readFileSync(`/proc/${path}`, 'utf8');
  } catch (error) {
    // The process has ended, or belongs to another user and is hidden (hidepid).
    if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) return '';
    throw error;
  }
}
