import type { Command } from '../../command.js';
import { clientOf } from '../../client.js';
import { EXIT } from '../../exit.js';
import type { GlobalOptions } from '../../options.js';
import { printOne } from '../../output/print.js';
import { say } from '../../output/say.js';
import { runCommand } from '../../run.js';

interface RouteOptions extends GlobalOptions {
  readonly needs?: string[];
  readonly about?: string;
  readonly from?: string;
}

export function register(agents: Command): void {
  agents
    .command('route')
    .description('Give a task to the agent whose capabilities fit best, and print its id')
    .argument('<task...>', 'what is to be done')
    .option('--needs <capability...>', 'what the agent must have one of; the one with the most gets it')
    .option('--about <text>', 'what it has to know for that')
    .option('--from <agent>', 'the agent of yours that asks; default: you')
    .withExamples('ksi agents route "Review the parser" --needs code_review security_review')
    .action((words: string[], _options: unknown, command: Command) =>
      runCommand(() => route(words, command.optsWithGlobals<RouteOptions>())),
    );
}

async function route(words: readonly string[], options: RouteOptions): Promise<number> {
  const { needs, about, from } = options;
  const routed = await clientOf(options).agents.route({
    task: words.join(' '),
    ...(needs === undefined ? {} : { required_capabilities: needs }),
    ...(about === undefined ? {} : { context: about }),
    ...(from === undefined ? {} : { from }),
  });
  printOne(routed, ({ assigned_agent: agent }) => `${agent}\n`, options);
  if (options.output === 'text')
    say(options, `It has ${routed.match_score} of what is needed: message ${routed.message_id}.`);
  return EXIT.ok;
}
