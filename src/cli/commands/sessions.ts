import { readFileSync } from 'node:fs';
import { text as readAll } from 'node:stream/consumers';
import type { Command } from '../command.js';
import type { Session, SessionExport } from '../../../contracts/sessions.js';
import { KsiClient } from '../../client/client.js';
import { findConnection } from '../connection.js';
import { CliError, EXIT } from '../exit.js';
import { wholeNumber, type GlobalOptions } from '../options.js';
import { ago, renderTable } from '../output/table.js';
import { runCommand } from '../run.js';

interface ListOptions extends GlobalOptions {
  readonly limit: number;
}
interface TranscriptOptions extends GlobalOptions {
  readonly markdown?: true;
}
interface ImportOptions extends GlobalOptions {
  readonly as?: string;
}

const clientOf = (options: GlobalOptions): KsiClient =>
  new KsiClient(findConnection(options, process.env, process.cwd()));

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
    .option('-n, --limit <count>', 'how many', wholeNumber(1, 500), 20)
    .action((_options: unknown, command: Command) => runCommand(() => list(command.optsWithGlobals<ListOptions>())));
  sessions
    .command('show')
    .description('Show one: its tasks counted, and what they took')
    .argument('<id>', 'its UUID or name')
    .action((id: string, _options: unknown, command: Command) =>
      runCommand(async () => {
        const options = command.optsWithGlobals<GlobalOptions>();
        const session = await clientOf(options).sessions.get(id);
        process.stdout.write(options.output === 'text' ? described(session) : `${JSON.stringify(session)}\n`);
        return EXIT.ok;
      }),
    );
  sessions
    .command('transcript')
    .description('Print what was said, as lines of JSON')
    .argument('<id>', 'its UUID or name')
    .option('--markdown', 'to read')
    .action((id: string, _options: unknown, command: Command) =>
      runCommand(async () => {
        const options = command.optsWithGlobals<TranscriptOptions>();
        process.stdout.write(
          await clientOf(options).sessions.transcript(id, {
            format: options.markdown === true ? 'markdown' : 'jsonl',
          }),
        );
        return EXIT.ok;
      }),
    );
  sessions
    .command('export')
    .description('Print the whole conversation as JSON, subagents included')
    .argument('<id>', 'its UUID or name')
    .action((id: string, _options: unknown, command: Command) =>
      runCommand(async () => {
        const exported = await clientOf(command.optsWithGlobals<GlobalOptions>()).sessions.export(id);
        process.stdout.write(`${JSON.stringify(exported)}\n`);
        return EXIT.ok;
      }),
    );
  sessions
    .command('import')
    .description('Make a session of what was exported')
    .argument('[file]', 'the file; without one, stdin')
    .option('--as <session>', 'its UUID or name here (default: as it was)')
    .action((file: string | undefined, _options: unknown, command: Command) =>
      runCommand(() => bringIn(file, command.optsWithGlobals<ImportOptions>())),
    );
}

const HEAD = ['SESSION', 'TASKS', 'OPEN', 'COST', 'UPDATED', 'WORKSPACE'];
const DEFAULT_WIDTH = 120;

async function list(options: ListOptions): Promise<number> {
  const { sessions, next_cursor: more } = await clientOf(options).sessions.list({ limit: options.limit });
  if (options.output === 'json') process.stdout.write(`${JSON.stringify(sessions)}\n`);
  else if (options.output === 'jsonl') for (const each of sessions) process.stdout.write(`${JSON.stringify(each)}\n`);
  else if (sessions.length === 0)
    process.stderr.write('There are no sessions. Begin one: ksi spawn --session notes "Say hello"\n');
  else process.stdout.write(`${renderTable(HEAD, sessions.map(row), process.stdout.columns ?? DEFAULT_WIDTH)}\n`);
  if (options.output === 'text' && more !== undefined)
    process.stderr.write(`There are more: --limit ${Math.min(500, options.limit * 5)}\n`);
  return EXIT.ok;
}

const row = (session: Session): string[] => [
  session.session_name ?? session.session_id,
  String(session.tasks),
  String(session.open),
  `$${session.usage.cost_usd.toFixed(2)}`,
  ago(session.updated_at, Date.now()),
  session.workspace ?? '',
];

function described({ usage, ...session }: Session): string {
  const facts = Object.entries({ ...session, ...usage });
  return facts.map(([name, value]) => `${name.padEnd(18)} ${String(value)}\n`).join('');
}

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
  if (options.output !== 'text') process.stdout.write(`${JSON.stringify(made)}\n`);
  const name = made.session_name ?? made.session_id;
  process.stderr.write(`${made.entries} entries. Go on with: ksi spawn --session ${name} "…"\n`);
  return EXIT.ok;
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new CliError((error as Error).message, EXIT.usage);
  }
}
