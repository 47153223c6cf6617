import type { KsiClient } from '../../client/client.js';
import { once } from 'node:events';
import type { SharedEntry } from '../../../contracts/agents/shared.js';
import { KsiGapError } from '../../client/errors.js';
import { clientOf } from '../client.js';
import type { Command } from '../command.js';
import { agreed } from '../confirm.js';
import { CliError, EXIT } from '../exit.js';
import { wholeNumber, type GlobalOptions } from '../options.js';
import { moreThere } from '../output/more.js';
import { printOne, printTable, type TableOf } from '../output/print.js';
import { say } from '../output/say.js';
import { timesFor, type ShowTime } from '../output/times.js';
import { retryNotice } from '../run.js';
import { kindOfStdin, readStdin } from '../stdin.js';
import { jsonLine } from '../output/printable.js';
import { defined } from '../../defined.js';

interface GetOptions extends GlobalOptions {
  readonly owner?: string;
}
interface SetOptions extends GlobalOptions {
  readonly revision?: number;
  readonly text?: true;
}
interface DeleteOptions extends GlobalOptions {
  readonly revision?: number;
  readonly yes?: true;
}
interface ListOptions extends GlobalOptions {
  readonly prefix?: string;
  readonly owner?: string;
  readonly limit: number;
}
interface WatchOptions extends GlobalOptions {
  readonly key?: string;
  readonly prefix?: string;
  readonly since?: string;
}

const MAX_ITEMS = 500;

/** `ksi shared` */
export function register(program: Command): void {
  const shared = program
    .command('shared')
    .description('Get, set, delete, list and watch the shared state of agents')
    .withExamples(
      'ksi shared',
      'ksi shared set plan \'{"step": 1}\'',
      'ksi shared get plan | jq .step',
      'ksi shared watch --prefix reports/',
    );
  shared
    .command('list', { isDefault: true })
    .description('List the keys, without their values')
    .option('--prefix <text>', 'only keys with this prefix')
    .option('--owner <owner>', 'the owner, for tokens that see all owners (default: you)')
    .option('-n, --limit <count>', 'the maximum number', wholeNumber(1, MAX_ITEMS), 100)
    .withExamples('ksi shared', 'ksi shared list --prefix reports/ -o jsonl | jq -r .key')
    .calls(list);
  shared
    .command('get')
    .description('Print a value: strings as they are, other values as JSON')
    .argument('<key>', 'its key')
    .option('--owner <owner>', 'the owner, for tokens that see all owners (default: you)')
    .withNotes('With `-o json`, the output includes its revision and the time of the change.')
    .withExamples('ksi shared get plan', 'ksi shared get plan -o json | jq .revision')
    .calls(get);
  shared
    .command('set')
    .description('Set a value')
    .argument('<key>', 'its key: any string')
    .argument('[value]', 'JSON, or else a string (default, and for `-`: read from stdin)')
    .option('--text', 'store it as a string even if it is JSON')
    .option(
      '--revision <number>',
      'only if this is the current revision; 0: only if the key does not exist',
      wholeNumber(0),
    )
    .withExamples(
      'ksi shared set plan \'{"step": 2}\' --revision 41',
      'ksi shared set greeting Hello',
      'ksi shared set report < report.json',
    )
    .runs(set);
  shared
    .command('delete')
    .description('Delete a value')
    .argument('<key>', 'its key')
    .option('--revision <number>', 'only if this is the current revision', wholeNumber(1))
    .option('--yes', 'do not ask')
    .withExamples('ksi shared delete plan --yes')
    .runs(remove);
  shared
    .command('watch')
    .description('Print changes as JSON lines until Ctrl-C')
    .argument('[key]', 'only this key')
    .option('--prefix <text>', 'only keys with this prefix')
    .option('--since <cursor>', 'start after this `cursor`, that of the last change seen')
    .withExamples('ksi shared watch plan | jq .value', 'ksi shared watch --prefix reports/')
    .calls(watch);
}

async function list(client: KsiClient, options: ListOptions): Promise<void> {
  const { prefix, owner, limit } = options;
  const query = { limit, ...defined({ prefix, owner }) };
  const { items: entries, next_cursor: more } = await client.shared.list(query);
  printTable(entries, table(timesFor(options)), options);
  if (options.output !== 'text') return;
  if (entries.length === 0) say(options, 'No shared state. Set a value: ksi shared set KEY VALUE');
  if (more !== undefined) say(options, moreThere(limit, MAX_ITEMS, '--prefix'));
}

const table = (when: ShowTime): TableOf<SharedEntry> => ({
  head: ['KEY', 'REVISION', 'BYTES', 'SET', 'BY'],
  row: ({ key, revision, size, updated_at: at, by }) => [key, String(revision), String(size), when(at), by ?? ''],
});

async function get(client: KsiClient, key: string, { owner, ...options }: GetOptions): Promise<void> {
  const found = await client.shared.get(key, defined({ owner }));
  printOne(
    found,
    ({ value }) => `${typeof value === 'string' ? value : JSON.stringify(value, undefined, 2)}\n`,
    options,
  );
}

async function set(key: string, given: string | undefined, options: SetOptions): Promise<void> {
  const text = given === undefined || given === '-' ? await fromStdin(given, options) : given;
  const value = options.text === true ? text : valueOf(text);
  const entry = await clientOf(options).shared.set(key, value, { revision: options.revision });
  printOne(entry, () => '', options);
  if (options.output === 'text') say(options, `${key} now has revision ${entry.revision}.`);
}

async function fromStdin(given: string | undefined, options: SetOptions): Promise<string> {
  const notice = (text: string): void => say(options, text);
  const text = await readStdin(process.stdin, kindOfStdin(), { notice, requested: given === '-' });
  if (text === undefined || text === '')
    throw new CliError('The value is empty. Pass it as an argument or on stdin.', EXIT.usage);
  return text;
}

/** Parses JSON. Other text is a string, so that `hello` needs no quotes. */
function valueOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text.replace(/\r?\n$/, '');
  }
}

async function remove(key: string, options: DeleteOptions): Promise<number> {
  if (!(await agreed(`the shared value ${key}`, options))) return EXIT.failure;
  await clientOf(options).shared.delete(key, { revision: options.revision });
  say(options, `Deleted ${key}.`);
  return EXIT.ok;
}

async function watch(client: KsiClient, key: string | undefined, options: WatchOptions): Promise<void> {
  const { prefix, since } = options;
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  try {
    for await (const change of client.shared.watch({
      key,
      prefix,
      since,
      signal: stop.signal,
      onRetry: retryNotice(options),
    }))
      if (options.output !== 'none' && !process.stdout.write(jsonLine(change))) await once(process.stdout, 'drain');
  } catch (error) {
    if (stop.signal.aborted) return;
    if (!(error instanceof KsiGapError)) throw error;
    throw new CliError(
      `${error.message}. Read the current values with \`ksi shared\`, then watch without --since.`,
      EXIT.failure,
    );
  }
}
