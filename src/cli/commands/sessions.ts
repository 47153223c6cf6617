import type { KsiClient } from '../../client/client.js';
import { readFileSync } from 'node:fs';
import { text as readAll } from 'node:stream/consumers';
import type { Command } from '../command.js';
import type { Session, SessionExport } from '../../../contracts/sessions/sessions.js';
import { clientOf } from '../client.js';
import { CliError, EXIT } from '../exit.js';
import { wholeNumber, type GlobalOptions } from '../options.js';
import { fieldLines } from '../output/fields.js';
import { moreThere } from '../output/more.js';
import { printOne, printTable, type TableOf } from '../output/print.js';
import { say } from '../output/say.js';
import { timesFor, type ShowTime } from '../output/times.js';
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

/** `ksi sessions` */
export function register(program: Command): void {
  const sessions = program
    .command('sessions')
    .description('List, show, read, export and import sessions')
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
    .description('List sessions, those with the newest tasks first')
    .option('-n, --limit <count>', 'the maximum number', wholeNumber(1, MAX_ITEMS), 20)
    .withExamples('ksi sessions', 'ksi sessions list --limit 100 -o json')
    .calls(list);
  sessions
    .command('show')
    .description('Show a session, its number of tasks and its usage')
    .argument('<id>', 'its UUID or name')
    .withValues({ id: 'sessions' })
    .withExamples('ksi sessions show notes', 'ksi sessions show notes -o json | jq .usage.cost_usd')
    .calls(async (client, id: string, options: GlobalOptions) => {
      const session = await client.sessions.get(id);
      printOne(session, ({ usage, ...facts }) => fieldLines({ ...facts, ...usage }, timesFor(options)), options);
    });
  sessions
    .command('transcript')
    .description('Print the transcript as JSON lines')
    .argument('<id>', 'its UUID or name')
    .option('--markdown', 'print Markdown instead')
    .withValues({ id: 'sessions' })
    .withExamples('ksi sessions transcript --markdown notes | less', 'ksi sessions transcript notes | jq -r .type')
    .calls(async (client, id: string, options: TranscriptOptions) => {
      const format = options.markdown === true ? 'markdown' : 'jsonl';
      process.stdout.write(shownOn(process.stdout, await client.sessions.transcript(id, { format })));
    });
  sessions
    .command('export')
    .description('Print the whole session as JSON, including subagents')
    .argument('<id>', 'its UUID or name')
    .withValues({ id: 'sessions' })
    .withExamples('ksi sessions export notes > notes.json')
    .calls(async (client, id: string) => {
      process.stdout.write(jsonLine(await client.sessions.export(id)));
    });
  sessions
    .command('import')
    .description('Import an exported session')
    .argument('[file]', 'the file (default: stdin)')
    .option('--as <session>', 'its new UUID or name (default: the exported one)')
    .withValues({ file: 'files' })
    .withExamples(
      'ksi sessions import --as notes-2 notes.json',
      'ssh there ksi sessions export notes | ksi sessions import',
    )
    .runs(importSession);
}

const MAX_ITEMS = 500;

async function list(client: KsiClient, options: ListOptions): Promise<void> {
  const { items: sessions, next_cursor: more } = await client.sessions.list({ limit: options.limit });
  printTable(sessions, table(timesFor(options)), options);
  if (options.output !== 'text') return;
  if (sessions.length === 0) say(options, 'No sessions. Start one: ksi spawn --session notes "Say hello"');
  if (more !== undefined) say(options, moreThere(options.limit, MAX_ITEMS, 'a limit of at most that'));
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

async function importSession(file: string | undefined, options: ImportOptions): Promise<void> {
  const text = file === undefined ? await readAll(process.stdin) : readText(file);
  let exported: SessionExport;
  try {
    exported = JSON.parse(text) as SessionExport;
  } catch (error) {
    throw new CliError(
      `The file is not an exported session (\`ksi sessions export\`): ${(error as Error).message}`,
      EXIT.usage,
    );
  }
  const session = options.as === undefined ? exported : { ...exported, session_id: options.as };
  const made = await clientOf(options).sessions.import(session);
  printOne(made, () => '', options);
  const name = made.session_name ?? made.session_id;
  say(options, `Imported ${made.entries} entries. Continue: ksi spawn --session ${name} "…"`);
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new CliError((error as Error).message, EXIT.usage);
  }
}
