import type { KsiClient } from '../client/client.js';
import type { Command } from './command.js';
import { EXIT } from './exit.js';
import type { GlobalOptions } from './options.js';
import { printTable, type TableOf } from './output/print.js';
import { say } from './output/say.js';
import { timesFor, type ShowTime } from './output/times.js';
import { watch } from './watch.js';

export interface ListOptions extends GlobalOptions {
  readonly watch?: true;
}

/** A list of the cluster's, and how it is shown. */
export interface List<T> {
  readonly load: (signal?: AbortSignal) => Promise<readonly T[]>;
  readonly key: (record: T) => string;
  readonly table: (when: ShowTime) => TableOf<T>;
  /** Said when there are none. */
  readonly empty: string;
  /** Events after which it may be another: what `--watch` waits for. Without any it looks again and again. */
  readonly subjects: readonly string[];
  /** What of a record makes it another, off a terminal. Default: all of it. */
  readonly essence?: (record: T) => unknown;
}

export const withWatch = <C extends Command>(command: C): C =>
  command.option('--watch', 'update the list until Ctrl-C; when piped, print a line for each change');

/** Prints the list, once or for as long as it is watched. @returns the exit code. */
export async function showList<T>(client: KsiClient | undefined, list: List<T>, options: ListOptions): Promise<number> {
  if (options.watch === true) return watch(client, list, options);
  const records = await list.load();
  printTable(records, list.table(timesFor(options)), options);
  if (records.length === 0 && options.output === 'text') say(options, list.empty);
  return EXIT.ok;
}

/** The function of a command that shows a list. */
export const listed =
  <T, O extends ListOptions = ListOptions>(list: (client: KsiClient, options: O) => List<T>) =>
  (client: KsiClient, options: O): Promise<number> =>
    showList(client, list(client, options), options);
