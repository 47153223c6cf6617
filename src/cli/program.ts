import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Command } from './command.js';
import { COMMAND_GROUPS } from './commands/index.js';
import { EXIT_HELP } from './exit.js';
import { withGlobalOptions } from './options.js';

/** The first words that need no other command than themselves. `ksi help` needs all. */
const standsAlone = (word: string): boolean =>
  ['-V', '--version'].includes(word) ||
  (word !== 'help' && COMMAND_GROUPS.some(({ commands }) => Object.hasOwn(commands, word)));

/**
 * `ksi` with the command that `word` names, or with all commands if it names none. Loading all takes longer than most commands run, but help,
 * completion, the man page and the answer to a misspelt command need them.
 */
export async function createProgram(word = ''): Promise<Command> {
  const alone = standsAlone(word);
  const groups = await Promise.all(
    COMMAND_GROUPS.map(async ({ title, commands }) => {
      const needed = Object.entries(commands).filter(([name]) => !alone || name === word);
      return { title, loaded: await Promise.all(needed.map(([, load]) => load())) };
    }),
  );
  const program = withGlobalOptions(new Command('ksi'))
    .configureHelp({ showGlobalOptions: true })
    .description(
      'Runs fleets of Claude Code processes behind NATS JetStream. Data goes to stdout, everything else to stderr.',
    )
    .version(version(), '-V, --version')
    .withNotes(EXIT_HELP, ENVIRONMENT_HELP)
    .withExamples('ksi up', 'ksi spawn "Say hello"', 'git diff | ksi spawn "Review this" > review.md', 'ksi help spawn')
    .exitOverride()
    .hook('preAction', () => {
      // All commands read KSI_DIR, also those that start or stop a cluster.
      const { dir } = program.opts<{ dir?: string }>();
      if (dir !== undefined) process.env['KSI_DIR'] = resolve(dir);
    });
  // `ksi bridge` has its own option of that name: the folder of the legacy daemon.
  if (word !== 'bridge')
    program.option(
      '--dir <folder>',
      'KSI_DIR of a cluster of this machine (default: KSI_DIR, or the nearest .ksi folder)',
    );
  for (const { title, loaded } of groups) {
    program.commandsGroup(`${title}:`);
    for (const { register } of loaded) register(program);
  }
  return program;
}

const ENVIRONMENT_HELP = `Environment:
  KSI_URL, KSI_TOKEN  the API and your token; default: what \`ksi up\` wrote into
                      KSI_DIR, or into .ksi here or in the nearest parent folder,
                      or the context that \`ksi context use\` chose
  NO_COLOR            no colours
  FORCE_COLOR, CLICOLOR_FORCE   colours, even when piped
  \`ksi config\` shows all settings and their sources`;

function version(): string {
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
