import type { KsiClient } from '../../../client/client.js';
import type { Command } from '../../command.js';
import type { GlobalOptions } from '../../options.js';
import { printOne } from '../../output/print.js';
import { say } from '../../output/say.js';
import { defined } from '../../../defined.js';

interface RouteOptions extends GlobalOptions {
  readonly needs?: string[];
  readonly about?: string;
  readonly from?: string;
}

export function register(agents: Command): void {
  agents
    .command('route')
    .description('Give a task to the agent with the best matching capabilities, and print its id')
    .argument('<task...>', 'the task')
    .option('--needs <capability...>', 'required capabilities; the agent with the most of them gets the task')
    .option('--about <text>', 'context for the task')
    .option('--from <agent>', 'your agent that sends the task (default: you)')
    .withExamples('ksi agents route "Review the parser" --needs code_review security_review')
    .calls(route);
}

async function route(client: KsiClient, words: readonly string[], options: RouteOptions): Promise<void> {
  const { needs, about, from } = options;
  const routed = await client.agents.route({
    task: words.join(' '),
    ...defined({ required_capabilities: needs, context: about, from }),
  });
  printOne(routed, ({ assigned_agent: agent }) => `${agent}\n`, options);
  if (options.output === 'text') say(options, `Sent message ${routed.message_id}. Match score: ${routed.match_score}.`);
}
