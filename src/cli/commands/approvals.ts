import { Option } from 'commander';
import type { Command } from '../command.js';
import { RULE_SCOPES, type Always, type ApprovalRule } from '../../../contracts/tasks/approval-rules.js';
import type { Approval, ApprovalAnswer, ApprovalResolved } from '../../../contracts/tasks/approvals.js';
import { jsonObject } from '../claude-options.js';
import { clientOf } from '../client.js';
import { choicesIn, planOf, type Choice } from '../chat/question.js';
import { forEachOf } from '../each.js';
import { CliError, EXIT } from '../exit.js';
import { listed, withWatch } from '../list.js';
import { approvalIds } from '../ids.js';
import type { GlobalOptions } from '../options.js';
import { revealed } from '../output/printable.js';
import { printLines, type TableOf } from '../output/print.js';
import type { ShowTime } from '../output/times.js';
import { whatRuns } from '../output/tools.js';
import { defined } from '../../defined.js';

interface AllowOptions extends GlobalOptions {
  readonly input?: Record<string, unknown>;
  readonly answers?: Record<string, unknown>;
  readonly answer?: string[];
  readonly acceptEdits?: boolean;
  readonly always?: Always['scope'];
  readonly rule?: string;
}
interface DenyOptions extends GlobalOptions {
  readonly message?: string;
}

/** `ksi approvals` */
export function register(program: Command): void {
  const approvals = program
    .command('approvals')
    .description('List pending approvals, and allow or deny them')
    .withExamples(
      'ksi spawn --no-wait --approvals "Tidy up the repository"',
      'ksi approvals',
      'ksi approvals allow ID',
      `ksi approvals allow ID --input '{"command": "git status"}'`,
      'ksi approvals allow ID --answer PostgreSQL',
      'ksi approvals allow ID --always session',
      'ksi approvals rules',
      `ksi approvals allow ID --answers '{"Which database?": "PostgreSQL"}'`,
      'ksi approvals deny ID --message "Use git mv instead"',
    );
  withWatch(approvals.command('list', { isDefault: true }))
    .description('List pending approvals, oldest first')
    .withNotes(
      'WHAT shows what would run. If it does not fit the terminal, it is cut at `…`; use -o json to see all of it.',
    )
    .withExamples(
      'ksi approvals',
      'ksi approvals list --watch',
      'ksi approvals -o json | jq -r ".[].approval_id" | xargs ksi approvals allow',
    )
    .calls(list);
  approvals
    .command('allow')
    .description('Allow approvals; only the first answer counts')
    .argument('<ids...>', 'their ids', approvalIds)
    .option('--input <json>', 'run the tool with this input instead; @FILE reads a file', jsonObject)
    .option('--answer <text>', 'the answer to a question; repeat it in the order of the questions', collect)
    .option('--answers <json>', 'the answers to questions, by the text of each question', jsonObject)
    .addOption(
      new Option(
        '--always <scope>',
        'always allow this, for the session, the agent or everything of the owner',
      ).choices(RULE_SCOPES),
    )
    .option('--rule <rule>', 'with --always: the tool rule to allow, as in --allowed-tools')
    .option('--accept-edits', 'for a plan: allow its edits in the working folder without asking')
    .withValues({ ids: 'approvals' })
    .withExamples(
      'ksi approvals allow ID',
      `ksi approvals allow ID --input '{"command": "git status"}'`,
      'ksi approvals allow ID --answer PostgreSQL',
      `ksi approvals allow ID --answers '{"Which database?": "PostgreSQL"}'`,
    )
    .runs(async (ids: string[], options: AllowOptions) => {
      const answer = {
        decision: 'allow' as const,
        ...defined({ input: options.input }),
        ...alwaysOf(options),
        ...(options.acceptEdits === true ? { permission_mode: 'acceptEdits' as const } : {}),
        // The API validates that the answers are strings.
        ...(options.answers === undefined ? {} : { answers: options.answers as Record<string, string> }),
      };
      return answerAll(ids, answer, options, options.answer);
    });
  withWatch(approvals.command('rules'))
    .description('List approval rules')
    .withExamples('ksi approvals rules', 'ksi approvals rules -o json')
    .calls(listRules);
  approvals
    .command('revoke')
    .description('Revoke approval rules')
    .argument('<ids...>', 'their ids')
    .withExamples('ksi approvals revoke ID')
    .calls(async (client, ids: string[], options: GlobalOptions) => {
      const { done, exitCode } = await forEachOf(ids, async (id) => {
        await client.approvals.revoke(id);
        return { rule_id: id };
      });
      printLines(done, ({ rule_id: id }) => `${id}  revoked`, options);
      return exitCode;
    });
  approvals
    .command('deny')
    .description('Deny approvals; only the first answer counts')
    .argument('<ids...>', 'their ids', approvalIds)
    .option('-m, --message <text>', 'a message to Claude, so that it can choose another way')
    .withValues({ ids: 'approvals' })
    .withExamples('ksi approvals deny ID', 'ksi approvals deny ID --message "Use git mv instead"')
    .runs(async (ids: string[], options: DenyOptions) => {
      const answer = {
        decision: 'deny' as const,
        ...defined({ message: options.message }),
      };
      return answerAll(ids, answer, options);
    });
}

const alwaysOf = ({ always, rule }: AllowOptions): Pick<ApprovalAnswer, 'always'> => {
  if (always !== undefined) return { always: { scope: always, ...defined({ rule }) } };
  if (rule !== undefined) throw new CliError('--rule needs --always', EXIT.usage);
  return {};
};

const listRules = listed((client) => ({
  load: (signal) => client.approvals.rules({}, { signal }).all(),
  key: ({ rule_id: id }) => id,
  table: (when: ShowTime): TableOf<ApprovalRule> => ({
    head: ['RULE', 'FOR', 'ALLOWS', 'CREATED', 'BY'],
    row: ({ rule_id: id, scope, session_id: session, agent_id: agent, rule, created_at: at, by }) => [
      id,
      [scope, session ?? agent].filter((part) => part !== undefined).join(' '),
      revealed(rule),
      when(at),
      by,
    ],
  }),
  empty: 'No approval rules: every approval needs an answer.',
  subjects: ['ksi.events.task.*.approval'],
}));

const collect = (text: string, before: string[] = []): string[] => [...before, text];

const list = listed((client) => ({
  load: (signal) => client.approvals.list({}, { signal }).all(),
  key: ({ approval_id: id }) => id,
  table,
  empty: 'No pending approvals.',
  subjects: ['ksi.events.task.*.approval'],
}));

const table = (when: ShowTime): TableOf<Approval> => ({
  head: ['APPROVAL', 'TOOL', 'REQUESTED', 'EXPIRES', 'WHAT'],
  row: (approval) => [
    approval.approval_id,
    approval.tool,
    when(approval.requested_at),
    when(approval.expires_at),
    whatIsAsked(approval),
  ],
});

function whatIsAsked(approval: Approval): string {
  const questions = questionsOf(approval).map(({ question, options }) =>
    [question, options.map(({ label }) => label).join(' | ')].filter((part) => part !== '').join(' '),
  );
  if (questions.length > 0) return questions.join('; ');
  return approval.kind === 'plan' ? planOf(approval) : whatRuns(approval.tool, approval.input);
}

const questionsOf = ({ kind, input }: Approval): readonly Choice[] => (kind === 'question' ? choicesIn(input) : []);

/** @param inOrder the answers to its questions in order, instead of `answer.answers`. */
async function answerAll(
  ids: readonly string[],
  answer: ApprovalAnswer,
  options: GlobalOptions,
  inOrder?: readonly string[],
): Promise<number> {
  await using client = clientOf(options);
  const open = inOrder === undefined ? [] : await client.approvals.list().all();
  const answers = (id: string): Pick<ApprovalAnswer, 'answers'> => {
    if (inOrder === undefined) return {};
    const pending = open.find(({ approval_id: each }) => each === id);
    // If the approval is no longer pending, the API reports it.
    const questions = pending === undefined ? inOrder.map((question) => ({ question })) : questionsOf(pending);
    if (questions.length !== inOrder.length)
      throw new CliError(`${id} has ${questions.length} questions. Pass --answer once for each`, EXIT.usage);
    return { answers: Object.fromEntries(questions.map(({ question }, n) => [question, inOrder[n] ?? ''])) };
  };
  const { done, exitCode } = await forEachOf(ids, async (id) =>
    client.approvals.answer(id, { ...answer, ...answers(id) }),
  );
  const formatAnswer = ({ approval_id: id, decision, rule_id: rule, rule_error: error }: ApprovalResolved): string => {
    const ruleNote = error === undefined ? (rule ?? '') : `no rule was created (${error.code}): ${error.message}`;
    return [id, decision, ruleNote].join('  ').trimEnd();
  };
  printLines(done, formatAnswer, options);
  return exitCode;
}
