import { setTimeout as sleep } from 'node:timers/promises';
import type { KsiClient } from '../client/client.js';
import { isPassing } from '../client/backoff.js';
import { EXIT } from './exit.js';
import type { List, ListOptions } from './list.js';
import { paint } from './output/colour.js';
import { tableOf } from './output/print.js';
import { oneLine } from './output/table.js';
import { timesFor } from './output/times.js';
import { jsonLine } from './output/printable.js';
import { systemClock, timestampOf } from '../clock.js';

/** Between two looks, however much happens. */
const MIN_PAUSE_MS = 400;
/** How often to refresh without an event: ages change, and some values have no events. */
const REFRESH_MS = 5_000;
/** Where nothing is told. */
const POLL_MS = 1_000;

const ALTERNATE_SCREEN = { on: '\u001B[?1049h\u001B[?25l', off: '\u001B[?25h\u001B[?1049l' };

/** Shows a list for as long as it is watched. @returns the exit code. */
export async function watch<T>(client: KsiClient | undefined, list: List<T>, options: ListOptions): Promise<number> {
  const stop = new AbortController();
  const end = (): void => stop.abort();
  process.once('SIGINT', end);
  process.once('SIGTERM', end);
  const first = await loadFirst(list, stop.signal);
  if (first === undefined) return EXIT.interrupted;
  const changes = new Changes();
  if (client !== undefined && list.subjects.length > 0) void follow(client, list.subjects, changes, stop.signal);
  const onScreen = process.stdout.isTTY && options.output === 'text';
  const show = onScreen ? screen(list, options) : appended(list, options);
  const pause = client === undefined ? POLL_MS : REFRESH_MS;
  if (onScreen) process.stdout.on('resize', changes.mark);
  try {
    show.records(first);
    while (!stop.signal.aborted) {
      await Promise.race([changes.next(), sleep(pause, undefined, { signal: stop.signal })]).catch(() => undefined);
      if (stop.signal.aborted) break;
      changes.seen();
      await again(list, show, stop.signal);
      await sleep(MIN_PAUSE_MS, undefined, { signal: stop.signal }).catch(() => undefined);
    }
  } finally {
    show.end();
    process.removeListener('SIGINT', end);
    process.removeListener('SIGTERM', end);
    process.stdout.removeListener('resize', changes.mark);
  }
  return EXIT.ok;
}

/** Fails as any command does when it cannot begin. @returns undefined: it was interrupted. */
async function loadFirst<T>(list: List<T>, signal: AbortSignal): Promise<readonly T[] | undefined> {
  try {
    return await list.load(signal);
  } catch (error) {
    if (signal.aborted) return undefined;
    throw error;
  }
}

/** An API that is away for a while is waited for. */
async function again<T>(list: List<T>, show: Shower<T>, signal: AbortSignal): Promise<void> {
  try {
    show.records(await list.load(signal));
  } catch (error) {
    if (signal.aborted) return;
    if (!isPassing(error)) throw error;
    show.trouble(`${error.message}; retrying`);
  }
}

async function follow(
  client: KsiClient,
  subjects: readonly string[],
  changes: Changes,
  signal: AbortSignal,
): Promise<void> {
  try {
    for await (const _message of client.events({ subjects, signal })) changes.mark();
  } catch {
    // Without events it is looked at as often as nothing happens: the list itself tells what is wrong.
  }
}

/** That something has changed, however often, since it was last looked at. */
class Changes {
  #changed = false;
  #wake: (() => void) | undefined;

  readonly mark = (): void => {
    this.#changed = true;
    this.#wake?.();
  };

  next(): Promise<void> {
    return this.#changed ? Promise.resolve() : new Promise((resolve) => (this.#wake = resolve));
  }

  /** It is looked at now: what changes from here on is another change. */
  seen(): void {
    this.#changed = false;
  }
}

interface Shower<T> {
  records(records: readonly T[]): void;
  trouble(text: string): void;
  end(): void;
}

/** Drawn anew each time, on a screen of its own; what was last there stays when it ends. */
function screen<T>(list: List<T>, options: ListOptions): Shower<T> {
  const out = process.stdout;
  let last: readonly T[] = [];
  let drawn = false;
  const text = (): string => (last.length === 0 ? list.empty : tableOf(last, list.table(timesFor(options))));
  const draw = (footer: string): void => {
    const lines = text().split('\n');
    const room = Math.max(1, out.rows - 2);
    const visible = lines.length <= room ? lines : [...lines.slice(0, room - 1), `… ${lines.length - room + 1} more`];
    const body = [...visible, '', footer].map((line) => `${line}\u001B[K`).join('\r\n');
    out.write(`${drawn ? '' : ALTERNATE_SCREEN.on}\u001B[H${body}\u001B[J`);
    drawn = true;
  };
  return {
    records: (records) => {
      last = records;
      draw(paint('dim', `${timestampOf(systemClock).slice(11, 19)}Z   Ctrl-C ends`, out));
    },
    trouble: (message) => draw(paint('red', message, out)),
    end: () => out.write(`${drawn ? ALTERNATE_SCREEN.off : ''}${text()}\n`),
  };
}

/** What is new or another, below what was there before: to be read by a program, or kept. */
function appended<T>(list: List<T>, options: ListOptions): Shower<T> {
  const known = new Map<string, string>();
  const table = list.table(timesFor({ utc: true }));
  const essence = list.essence ?? ((record: T): unknown => record);
  const write = (text: string): void => void (options.output !== 'none' && process.stdout.write(`${text}\n`));
  const json = options.output !== 'text';
  if (!json) write(table.head.join('  '));
  return {
    records: (records) => {
      for (const record of records) {
        const now = JSON.stringify(essence(record));
        if (known.get(list.key(record)) === now) continue;
        known.set(list.key(record), now);
        write(json ? jsonLine(record).trimEnd() : table.row(record).map(oneLine).join('  ').trimEnd());
      }
      const present = new Set(records.map(list.key));
      for (const key of known.keys()) {
        if (present.has(key)) continue;
        known.delete(key);
        write(json ? JSON.stringify({ gone: key }) : `${key}  gone`);
      }
    },
    trouble: (message) => void process.stderr.write(`${message}\n`),
    end: () => undefined,
  };
}
