import { mkdir, cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { StoredEvent } from '../../contracts/events/events.js';
import { rowOf, type Cancel, type Fault, type History, type Leftover, type Post, type Reader } from './history.js';

/** An event as it is stored. */
export interface WholeEvent {
  readonly seq: number;
  readonly subject: string;
  readonly event: StoredEvent;
}

/** Gathers the history of a run, and writes it. */
export class Recorder {
  readonly posts: Post[] = [];
  readonly cancels: Cancel[] = [];
  readonly faults: Fault[] = [];
  readonly readers: Reader[] = [];
  readonly leftovers: Leftover[] = [];
  readonly commandsLeft: string[] = [];
  readonly damage: string[] = [];
  readonly events: WholeEvent[] = [];

  history(): History {
    const { posts, cancels, faults, readers, leftovers, commandsLeft, damage, events } = this;
    const stored = events.map(({ seq, subject, event }) => rowOf(seq, subject, event));
    return {
      posts,
      cancels,
      faults: faults.toSorted((a, b) => a.at - b.at),
      readers,
      leftovers,
      commandsLeft,
      damage,
      stored,
    };
  }

  /** Writes all of it to a folder: the events as they are stored, JSON lines of the rest, and the processes' logs. */
  async write(folder: string, logs: string, report: string): Promise<void> {
    await mkdir(folder, { recursive: true });
    const { posts, cancels, faults, readers, leftovers, commandsLeft, events } = this;
    const files = { posts, cancels, faults, readers, leftovers, events, 'commands-left': commandsLeft };
    for (const [name, items] of Object.entries(files))
      await writeFile(join(folder, `${name}.jsonl`), items.map((item) => `${JSON.stringify(item)}\n`).join(''));
    await writeFile(join(folder, 'report.md'), `${report}\n`);
    await cp(logs, join(folder, 'logs'), { recursive: true, force: true });
  }
}
