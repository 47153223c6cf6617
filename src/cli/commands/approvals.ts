import type { Command } from '../command.js';
import type { Approval, ApprovalAnswer } from '../../../contracts/approvals.js';
import { KsiClient } from '../../client/client.js';
import { jsonObject } from '../claude-options.js';
import { findConnection } from '../connection.js';
import { forEachOf } from '../each.js';
import { EXIT } from '../exit.js';
import type { GlobalOptions } from '../options.js';
import { ago, renderTable } from '../output/table.js';
import { runCommand } from '../run.js';

interface AllowOptions extends GlobalOptions {
  readonly input?: Record<string, unknown>;
  readonly answers?: Record<string, unknown>;
}
interface DenyOptions extends GlobalOptions {
  readonly message?: string;
}

/** `ksi approvals`: what Claude wants to be allowed, and the answers to it. */
export function register(program: Command): void {
  const approvals = program
    .command('approvals')
    .description('List what Claude wants to be allowed now, allow or refuse it')
    .withExamples(
      'ksi spawn --no-wait --approvals "Tidy up the repository"',
      'ksi approvals',
      'ksi approvals allow ID',
      `ksi approvals allow ID --input '{"command": "git status"}'`,
      `ksi approvals allow ID --answers '{"Which database?": "PostgreSQL"}'`,
      'ksi approvals deny ID --message "Use git mv instead"',
    );
  approvals
    .command('list', { isDefault: true })
    .description('List what is asked now, those asked first first')
    .action((_options: unknown, command: Command) => runCommand(() => list(command.optsWithGlobals<GlobalOptions>())));
  approvals
    .command('allow')
    .description('Allow it; the first answer holds')
    .argument('<ids...>', 'their ids')
    .option('--input <json>', 'run the tool with this input; @FILE reads it from a file', jsonObject)
    .option('--answers <json>', 'to a question: the answer to each, by its text', jsonObject)
    .action((ids: string[], _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<AllowOptions>();
      const answer = {
        decision: 'allow' as const,
        ...(options.input === undefined ? {} : { input: options.input }),
        // The API checks that they are texts.
        ...(options.answers === undefined ? {} : { answers: options.answers as Record<string, string> }),
      };
      return runCommand(() => answerAll(ids, answer, options));
    });
  approvals
    .command('deny')
    .description('Refuse it; the first answer holds')
    .argument('<ids...>', 'their ids')
    .option('-m, --message <text>', 'what Claude is told, so that it can do otherwise')
    .action((ids: string[], _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<DenyOptions>();
      const answer = {
        decision: 'deny' as const,
        ...(options.message === undefined ? {} : { message: options.message }),
      };
      return runCommand(() => answerAll(ids, answer, options));
    });
}

const HEAD = ['APPROVAL', 'TOOL', 'ASKED', 'UNTIL', 'WHAT'];
const DEFAULT_WIDTH = 120;

async function list(options: GlobalOptions): Promise<number> {
  const client = new KsiClient(findConnection(options, process.env, process.cwd()));
  const { approvals } = await client.approvals.list();
  if (options.output === 'json') process.stdout.write(`${JSON.stringify(approvals)}\n`);
  else if (options.output === 'jsonl') for (const each of approvals) process.stdout.write(`${JSON.stringify(each)}\n`);
  else if (approvals.length === 0) process.stderr.write('Nothing is asked now.\n');
  else process.stdout.write(`${renderTable(HEAD, approvals.map(row), process.stdout.columns ?? DEFAULT_WIDTH)}\n`);
  return EXIT.ok;
}

const row = ({ approval_id: id, tool, requested_at: asked, expires_at: until, title, input }: Approval): string[] => [
  id,
  tool,
  ago(asked, Date.now()),
  `${Math.max(0, Math.round((Date.parse(until) - Date.now()) / 1_000))} s`,
  title ?? JSON.stringify(input ?? {}),
];

async function answerAll(ids: readonly string[], answer: ApprovalAnswer, options: GlobalOptions): Promise<number> {
  const client = new KsiClient(findConnection(options, process.env, process.cwd()));
  const { done, exitCode } = await forEachOf(ids, (id) => client.approvals.answer(id, answer));
  if (options.output !== 'text') for (const each of done) process.stdout.write(`${JSON.stringify(each)}\n`);
  else for (const { approval_id: id, decision } of done) process.stderr.write(`${id}: ${decision}\n`);
  return exitCode;
}
