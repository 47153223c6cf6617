import { Option } from 'commander';
import type { Command } from '../../command.js';
import { AGENT_STATUSES, type AgentChange, type AgentStatus } from '../../../../contracts/agents/agents.js';
import { jsonObject } from '../../claude-options.js';
import { clientOf } from '../../client.js';
import { CliError, EXIT } from '../../exit.js';
import { wholeNumber, type GlobalOptions } from '../../options.js';
import { printOne } from '../../output/print.js';
import { say } from '../../output/say.js';
import { runCommand } from '../../run.js';

interface ChangeOptions extends GlobalOptions {
  readonly role?: string;
  readonly capability?: string[];
  readonly subscribe?: string[];
  readonly profile?: string;
  readonly options?: Record<string, unknown>;
  readonly answersReplies?: boolean;
}
interface RegisterOptions extends ChangeOptions {
  readonly managed?: boolean;
  readonly session?: string;
}
interface UpdateOptions extends ChangeOptions {
  readonly status?: AgentStatus;
  readonly revision?: number;
}

const withChanges = (command: Command): Command =>
  command
    .option('--role <role>', 'what it is')
    .option('--capability <capability...>', 'what it can do')
    .option('--subscribe <type...>', 'types of messages that it gets copies of; BROADCAST is one')
    .option('--profile <name>', 'what is not given comes from it')
    .option('--options <json>', "how a managed agent's tasks run, as in POST /spawn; @FILE reads it", jsonObject)
    .option('--answers-replies', 'a managed agent also runs for answers to its own answers');

export function register(agents: Command): void {
  withChanges(
    agents
      .command('register')
      .description('Register an agent; one of yours is brought up to date')
      .argument('[id]', 'its id; default: a new one'),
  )
    .option('--managed', 'KSI runs it: each message becomes a task; without it a client reads its inbox')
    .option('--session <id>', 'the session that a managed agent goes on in')
    .withExamples('ksi agents register ann', 'ksi agents register critic --managed --role reviewer --capability review')
    .action((id: string | undefined, _options: unknown, command: Command) =>
      runCommand(() => registerOne(id, command.optsWithGlobals<RegisterOptions>())),
    );
  withChanges(
    agents.command('update').description('Change an agent; what is not given stays').argument('<id>', 'its id'),
  )
    .addOption(new Option('--status <status>', 'paused: its messages wait').choices([...AGENT_STATUSES]))
    .addOption(
      new Option('--revision <revision>', 'refuse unless this is its revision still').argParser(wholeNumber(1)),
    )
    .withExamples('ksi agents update critic --status paused')
    .action((id: string, _options: unknown, command: Command) =>
      runCommand(() => update(id, command.optsWithGlobals<UpdateOptions>())),
    );
}

const changesOf = ({ role, capability, subscribe, profile, options, answersReplies }: ChangeOptions): AgentChange => ({
  ...(role === undefined ? {} : { role }),
  ...(capability === undefined ? {} : { capabilities: capability }),
  ...(subscribe === undefined ? {} : { subscriptions: subscribe }),
  ...(profile === undefined ? {} : { profile }),
  // The API checks what they are.
  ...(options === undefined ? {} : { options }),
  ...(answersReplies === undefined ? {} : { answers_replies: answersReplies }),
});

async function registerOne(id: string | undefined, options: RegisterOptions): Promise<number> {
  const { managed, session } = options;
  const registered = await clientOf(options).agents.register({
    ...(id === undefined ? {} : { agent_id: id }),
    ...(managed === true ? { kind: 'managed' as const } : {}),
    ...(session === undefined ? {} : { session_id: session }),
    ...changesOf(options),
  });
  printOne(registered, ({ agent_id: made }) => `${made}\n`, options);
  return EXIT.ok;
}

async function update(id: string, options: UpdateOptions): Promise<number> {
  const { status, revision } = options;
  const change: AgentChange = { ...changesOf(options), ...(status === undefined ? {} : { status }) };
  if (Object.keys(change).length === 0) throw new CliError('Say what is to change; see --help.', EXIT.usage);
  const agent = await clientOf(options).agents.update(id, {
    ...change,
    ...(revision === undefined ? {} : { revision }),
  });
  printOne(agent, () => '', options);
  if (options.output === 'text') say(options, `${id} is ${agent.status}, at revision ${agent.revision}.`);
  return EXIT.ok;
}
