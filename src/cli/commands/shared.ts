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
import { retryNotice, runCommand } from '../run.js';
import { kindOfStdin, readStdin } from '../stdin.js';
import { jsonLine } from '../output/printable.js';

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

const MOST = 500;

/** `ksi shared`: state that agents and people share. */
export function register(program: Command): void {
  const shared = program
    .command('shared')
    .description('Read, set, delete, list and watch the state that agents share')
    .withExamples(
      'ksi shared',
      'ksi shared set plan \'{"step": 1}\'',
      'ksi shared get plan | jq .step',
      'ksi shared watch --prefix reports/',
    );
  shared
    .command('list', { isDefault: true })
    .description('List the keys, without their values')
    .option('--prefix <text>', 'keys that begin so')
    .option('--owner <owner>', 'whose, for a token that sees all owners (default: your own)')
    .option('-n, --limit <count>', 'how many', wholeNumber(1, MOST), 100)
    .withExamples('ksi shared', 'ksi shared list --prefix reports/ -o jsonl | jq -r .key')
    .action((_options: unknown, command: Command) => runCommand(() => list(command.optsWithGlobals<ListOptions>())));
  shared
    .command('get')
    .description('Print a value: a text as it is, anything else as JSON')
    .argument('<key>', 'its key')
    .option('--owner <owner>', 'whose, for a token that sees all owners (default: your own)')
    .withNotes('With `-o json`, its revision and when it was set stand beside it.')
    .withExamples('ksi shared get plan', 'ksi shared get plan -o json | jq .revision')
    .action((key: string, _options: unknown, command: Command) =>
      runCommand(() => get(key, command.optsWithGlobals<GetOptions>())),
    );
  shared
    .command('set')
    .description('Set a value')
    .argument('<key>', 'its key: any text')
    .argument('[value]', 'JSON; what is none is taken for a text. Without one, or as `-`, it is read from stdin')
    .option('--text', 'it is a text, whatever it looks like')
    .option('--revision <number>', 'only if it has this revision; 0: only if there is none', wholeNumber(0))
    .withExamples(
      'ksi shared set plan \'{"step": 2}\' --revision 41',
      'ksi shared set greeting Hello',
      'ksi shared set report < report.json',
    )
    .action((key: string, value: string | undefined, _options: unknown, command: Command) =>
      runCommand(() => set(key, value, command.optsWithGlobals<SetOptions>())),
    );
  shared
    .command('delete')
    .description('Delete a value')
    .argument('<key>', 'its key')
    .option('--revision <number>', 'only if it has this revision', wholeNumber(1))
    .option('--yes', 'without asking')
    .withExamples('ksi shared delete plan --yes')
    .action((key: string, _options: unknown, command: Command) =>
      runCommand(() => remove(key, command.optsWithGlobals<DeleteOptions>())),
    );
  shared
    .command('watch')
    .description('Print changes as they are made, one JSON object a line, until Ctrl-C')
    .argument('[key]', 'this key alone')
    .option('--prefix <text>', 'keys that begin so')
    .option('--since <cursor>', '`cursor` of the last change seen: what came after it is printed first')
    .withExamples('ksi shared watch plan | jq .value', 'ksi shared watch --prefix reports/')
    .action((key: string | undefined, _options: unknown, command: Command) =>
      runCommand(() => watch(key, command.optsWithGlobals<WatchOptions>())),
    );
}

async function list(options: ListOptions): Promise<number> {
  const { prefix, owner, limit } = options;
  const query = { limit, ...(prefix === undefined ? {} : { prefix }), ...(owner === undefined ? {} : { owner }) };
  const { items: entries, next_cursor: more } = await clientOf(options).shared.list(query);
  printTable(entries, table(timesFor(options)), options);
  if (options.output !== 'text') return EXIT.ok;
  if (entries.length === 0) say(options, 'Nothing is shared. Share something: ksi shared set KEY VALUE');
  if (more !== undefined) say(options, moreThere(limit, MOST, '--prefix'));
  return EXIT.ok;
}

const table = (when: ShowTime): TableOf<SharedEntry> => ({
  head: ['KEY', 'REVISION', 'BYTES', 'SET', 'BY'],
  row: ({ key, revision, size, updated_at: at, by }) => [key, String(revision), String(size), when(at), by ?? ''],
});

async function get(key: string, options: GetOptions): Promise<number> {
  const { owner } = options;
  const found = await clientOf(options).shared.get(key, owner === undefined ? {} : { owner });
  printOne(
    found,
    ({ value }) => `${typeof value === 'string' ? value : JSON.stringify(value, undefined, 2)}\n`,
    options,
  );
  return EXIT.ok;
}

async function set(key: string, given: string | undefined, options: SetOptions): Promise<number> {
  const text = given === undefined || given === '-' ? await fromStdin(given, options) : given;
  const value = options.text === true ? text : valueOf(text);
  const entry = await clientOf(options).shared.set(key, value, { revision: options.revision });
  printOne(entry, () => '', options);
  if (options.output === 'text') say(options, `${key} has revision ${entry.revision} now.`);
  return EXIT.ok;
}

async function fromStdin(given: string | undefined, options: SetOptions): Promise<string> {
  const notice = (said: string): void => say(options, said);
  const text = await readStdin(process.stdin, kindOfStdin(), { notice, asked: given === '-' });
  if (text === undefined || text === '')
    throw new CliError('There is no value: give one, or send it on stdin.', EXIT.usage);
  return text;
}

/** A person who shares `hello` means the text. */
function valueOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text.replace(/\r?\n$/, '');
  }
}

async function remove(key: string, options: DeleteOptions): Promise<number> {
  if (!(await agreed(`what is shared as ${key}`, options))) return EXIT.failure;
  await clientOf(options).shared.delete(key, { revision: options.revision });
  say(options, `Deleted ${key}.`);
  return EXIT.ok;
}

async function watch(key: string | undefined, options: WatchOptions): Promise<number> {
  await using client = clientOf(options);
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
    if (!(error instanceof KsiGapError)) throw error;
    throw new CliError(
      `${error.message}: read what is shared with \`ksi shared\`, and watch on without --since.`,
      EXIT.failure,
    );
  }
  return EXIT.ok;
}
