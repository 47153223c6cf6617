import type { Command } from '../command.js';
import type { Approval, ApprovalAnswer } from '../../../contracts/approvals.js';
import { jsonObject } from '../claude-options.js';
import { clientOf } from '../client.js';
import { forEachOf } from '../each.js';
import { showList, withWatch, type ListOptions } from '../list.js';
import type { GlobalOptions } from '../options.js';
import { printLines, type TableOf } from '../output/print.js';
import type { ShowTime } from '../output/times.js';
import { detailOf } from '../output/tools.js';
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
  withWatch(approvals.command('list', { isDefault: true }))
    .description('List what is asked now, those asked first first')
    .withExamples(
      'ksi approvals',
      'ksi approvals list --watch',
      'ksi approvals -o json | jq -r ".[].approval_id" | xargs ksi approvals allow',
    )
    .action((_options: unknown, command: Command) => runCommand(() => list(command.optsWithGlobals<ListOptions>())));
  approvals
    .command('allow')
    .description('Allow it; the first answer holds')
    .argument('<ids...>', 'their ids')
    .option('--input <json>', 'run the tool with this input; @FILE reads it from a file', jsonObject)
    .option('--answers <json>', 'to a question: the answer to each, by its text', jsonObject)
    .withValues({ ids: 'approvals' })
    .withExamples(
      'ksi approvals allow ID',
      `ksi approvals allow ID --input '{"command": "git status"}'`,
      `ksi approvals allow ID --answers '{"Which database?": "PostgreSQL"}'`,
    )
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
    .withValues({ ids: 'approvals' })
    .withExamples('ksi approvals deny ID', 'ksi approvals deny ID --message "Use git mv instead"')
    .action((ids: string[], _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<DenyOptions>();
      const answer = {
        decision: 'deny' as const,
        ...(options.message === undefined ? {} : { message: options.message }),
      };
      return runCommand(() => answerAll(ids, answer, options));
    });
}

async function list(options: ListOptions): Promise<number> {
  await using client = clientOf(options);
  return await showList(
    client,
    {
      load: async (signal) => (await client.approvals.list({ signal })).approvals,
      key: ({ approval_id: id }) => id,
      table,
      empty: 'Nothing is asked now.',
      subjects: ['ksi.events.task.*.approval'],
    },
    options,
  );
}

const table = (when: ShowTime): TableOf<Approval> => ({
  head: ['APPROVAL', 'TOOL', 'ASKED', 'ENDS', 'WHAT'],
  row: ({ approval_id: id, tool, requested_at: asked, expires_at: until, title, input }) => [
    id,
    tool,
    when(asked),
    when(until),
    title ?? detailOf(input),
  ],
});

async function answerAll(ids: readonly string[], answer: ApprovalAnswer, options: GlobalOptions): Promise<number> {
  await using client = clientOf(options);
  const { done, exitCode } = await forEachOf(ids, (id) => client.approvals.answer(id, answer));
  printLines(done, ({ approval_id: id, decision }) => `${id}  ${decision}`, options);
  return exitCode;
}
