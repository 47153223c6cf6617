import type { KsiClient } from '../../../client/client.js';
import { Option } from 'commander';
import type { Command } from '../../command.js';
import { AGENT_STATUSES, type AgentChange, type AgentStatus } from '../../../../contracts/agents/agents.js';
import { jsonObject } from '../../claude-options.js';
import { CliError, EXIT } from '../../exit.js';
import { wholeNumber, type GlobalOptions } from '../../options.js';
import { printOne } from '../../output/print.js';
import { say } from '../../output/say.js';
import { defined } from '../../../defined.js';

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
    .option('--role <role>', 'its role')
    .option('--capability <capability...>', 'its capabilities')
    .option('--subscribe <type...>', 'message types that it receives copies of, such as BROADCAST')
    .option('--profile <name>', 'the profile that supplies the other fields')
    .option('--options <json>', "options of a managed agent's tasks, as in POST /spawn; @FILE reads a file", jsonObject)
    .option('--answers-replies', 'let a managed agent also answer the answers to its own answers');

export function register(agents: Command): void {
  withChanges(
    agents
      .command('register')
      .description('Register an agent, or update one of your own')
      .argument('[id]', 'its id (default: a new one)'),
  )
    .option('--managed', 'let KSI run it: each message becomes a task (default: a client reads its inbox)')
    .option('--session <id>', 'the session that a managed agent continues')
    .withExamples('ksi agents register ann', 'ksi agents register critic --managed --role reviewer --capability review')
    .calls(registerOne);
  withChanges(
    agents.command('update').description('Change an agent; omitted fields are kept').argument('<id>', 'its id'),
  )
    .addOption(
      new Option('--status <status>', 'its status; messages of a paused agent wait').choices([...AGENT_STATUSES]),
    )
    .addOption(
      new Option('--revision <revision>', 'refuse the change unless this is the current revision').argParser(
        wholeNumber(1),
      ),
    )
    .withExamples('ksi agents update critic --status paused')
    .calls(update);
}

const changesOf = ({ role, capability, subscribe, profile, options, answersReplies }: ChangeOptions): AgentChange =>
  // The API validates the options.
  defined({
    role,
    capabilities: capability,
    subscriptions: subscribe,
    profile,
    options,
    answers_replies: answersReplies,
  });

async function registerOne(client: KsiClient, id: string | undefined, options: RegisterOptions): Promise<void> {
  const { managed, session } = options;
  const registered = await client.agents.register({
    ...defined({ agent_id: id, kind: managed === true ? ('managed' as const) : undefined, session_id: session }),
    ...changesOf(options),
  });
  printOne(registered, ({ agent_id: made }) => `${made}\n`, options);
}

async function update(client: KsiClient, id: string, options: UpdateOptions): Promise<void> {
  const { status, revision } = options;
  const change: AgentChange = { ...changesOf(options), ...defined({ status }) };
  if (Object.keys(change).length === 0)
    throw new CliError('Nothing to change. Name at least one field; see --help.', EXIT.usage);
  const agent = await client.agents.update(id, { ...change, ...defined({ revision }) });
  printOne(agent, () => '', options);
  if (options.output === 'text') say(options, `${id} is ${agent.status} (revision ${agent.revision}).`);
}
