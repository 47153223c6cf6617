import { readFileSync } from 'node:fs';
import { text as readAll } from 'node:stream/consumers';
import type { Command } from '../command.js';
import type { Session, SessionExport } from '../../../contracts/sessions/sessions.js';
import { clientOf } from '../client.js';
import { CliError, EXIT } from '../exit.js';
import { wholeNumber, type GlobalOptions } from '../options.js';
import { factLines } from '../output/facts.js';
import { moreThere } from '../output/more.js';
import { printOne, printTable, type TableOf } from '../output/print.js';
import { say } from '../output/say.js';
import { timesFor, type ShowTime } from '../output/times.js';
import { runCommand } from '../run.js';
import { jsonLine, shownOn } from '../output/printable.js';

interface ListOptions extends GlobalOptions {
  readonly limit: number;
}
interface TranscriptOptions extends GlobalOptions {
  readonly markdown?: true;
}
interface ImportOptions extends GlobalOptions {
  readonly as?: string;
}

/** `ksi sessions`: the conversations, what was said in them, and how they come and go. */
export function register(program: Command): void {
  const sessions = program
    .command('sessions')
    .description('List conversations; show, read, export and import them')
    .withExamples(
      'ksi sessions',
      'ksi sessions show notes',
      'ksi sessions transcript --markdown notes | less',
      'ksi sessions export notes > notes.json',
      'ksi sessions import --as notes-2 notes.json',
      'ksi delete session notes',
    );
  sessions
    .command('list', { isDefault: true })
    .description('List them, those with the newest tasks first')
    .option('-n, --limit <count>', 'how many', wholeNumber(1, MOST), 20)
    .withExamples('ksi sessions', 'ksi sessions list --limit 100 -o json')
    .action((_options: unknown, command: Command) => runCommand(() => list(command.optsWithGlobals<ListOptions>())));
  sessions
    .command('show')
    .description('Show one: its tasks counted, and what they took')
    .argument('<id>', 'its UUID or name')
    .withValues({ id: 'sessions' })
    .withExamples('ksi sessions show notes', 'ksi sessions show notes -o json | jq .usage.cost_usd')
    .action((id: string, _options: unknown, command: Command) =>
      runCommand(async () => {
        const options = command.optsWithGlobals<GlobalOptions>();
        const session = await clientOf(options).sessions.get(id);
        printOne(session, ({ usage, ...facts }) => factLines({ ...facts, ...usage }, timesFor(options)), options);
        return EXIT.ok;
      }),
    );
  sessions
    .command('transcript')
    .description('Print what was said, as lines of JSON')
    .argument('<id>', 'its UUID or name')
    .option('--markdown', 'to read')
    .withValues({ id: 'sessions' })
    .withExamples('ksi sessions transcript --markdown notes | less', 'ksi sessions transcript notes | jq -r .type')
    .action((id: string, _options: unknown, command: Command) =>
      runCommand(async () => {
        const options = command.optsWithGlobals<TranscriptOptions>();
        await using client = clientOf(options);
        const format = options.markdown === true ? 'markdown' : 'jsonl';
        process.stdout.write(shownOn(process.stdout, await client.sessions.transcript(id, { format })));
        return EXIT.ok;
      }),
    );
  sessions
    .command('export')
    .description('Print the whole conversation as JSON, subagents included')
    .argument('<id>', 'its UUID or name')
    .withValues({ id: 'sessions' })
    .withExamples('ksi sessions export notes > notes.json')
    .action((id: string, _options: unknown, command: Command) =>
      runCommand(async () => {
        await using client = clientOf(command.optsWithGlobals<GlobalOptions>());
        const exported = await client.sessions.export(id);
        process.stdout.write(jsonLine(exported));
        return EXIT.ok;
      }),
    );
  sessions
    .command('import')
    .description('Make a session of what was exported')
    .argument('[file]', 'the file; without one, stdin')
    .option('--as <session>', 'its UUID or name here (default: as it was)')
    .withValues({ file: 'files' })
    .withExamples(
      'ksi sessions import --as notes-2 notes.json',
      'ssh there ksi sessions export notes | ksi sessions import',
    )
    .action((file: string | undefined, _options: unknown, command: Command) =>
      runCommand(() => bringIn(file, command.optsWithGlobals<ImportOptions>())),
    );
}

const MOST = 500;

async function list(options: ListOptions): Promise<number> {
  await using client = clientOf(options);
  const { items: sessions, next_cursor: more } = await client.sessions.list({ limit: options.limit });
  printTable(sessions, table(timesFor(options)), options);
  if (options.output !== 'text') return EXIT.ok;
  if (sessions.length === 0) say(options, 'There are no sessions. Begin one: ksi spawn --session notes "Say hello"');
  if (more !== undefined) say(options, moreThere(options.limit, MOST, 'no more than that'));
  return EXIT.ok;
}

const table = (when: ShowTime): TableOf<Session> => ({
  head: ['SESSION', 'TASKS', 'OPEN', 'COST', 'UPDATED', 'WORKSPACE'],
  row: (session) => [
    session.session_name ?? session.session_id,
    String(session.tasks),
    String(session.open),
    `$${session.usage.cost_usd.toFixed(2)}`,
    when(session.updated_at),
    session.workspace ?? '',
  ],
});

async function bringIn(file: string | undefined, options: ImportOptions): Promise<number> {
  const text = file === undefined ? await readAll(process.stdin) : readText(file);
  let exported: SessionExport;
  try {
    exported = JSON.parse(text) as SessionExport;
  } catch (error) {
    throw new CliError(`This is not what \`ksi sessions export\` prints: ${(error as Error).message}`, EXIT.usage);
  }
  const session = options.as === undefined ? exported : { ...exported, session_id: options.as };
  const made = await clientOf(options).sessions.import(session);
  printOne(made, () => '', options);
  const name = made.session_name ?? made.session_id;
  say(options, `${made.entries} entries. Go on with: ksi spawn --session ${name} "…"`);
  return EXIT.ok;
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new CliError((error as Error).message, EXIT.usage);
  }
}
