import { readFileSync } from 'node:fs';
import { Command } from './command.js';
import { COMMAND_GROUPS } from './commands/index.js';
import { EXIT_HELP } from './exit.js';
import { withGlobalOptions } from './options.js';

/** `ksi` with all its commands: what main.ts runs, and what man page and completion are made from. */
export function createProgram(): Command {
  const program = withGlobalOptions(new Command('ksi'))
    .configureHelp({ showGlobalOptions: true })
    .description('Runs fleets of Claude Code processes behind NATS JetStream. Data goes to stdout, all else to stderr.')
    .version(version(), '-V, --version')
    .withNotes(EXIT_HELP, ENVIRONMENT_HELP)
    .withExamples('ksi up', 'ksi spawn "Say hello"', 'git diff | ksi spawn "Review this" > review.md', 'ksi help spawn')
    .exitOverride();
  for (const { title, commands } of COMMAND_GROUPS) {
    program.commandsGroup(`${title}:`);
    for (const { register } of commands) register(program);
  }
  return program;
}

const ENVIRONMENT_HELP = `Environment:
  KSI_URL, KSI_TOKEN  the API and who we are; without them what \`ksi up\` wrote
                      into KSI_DIR, or into the nearest .ksi upward
  NO_COLOR            no colours
  FORCE_COLOR, CLICOLOR_FORCE   colours, also off a terminal
  \`ksi config\` shows all that is set, and from where`;

function version(): string {
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
