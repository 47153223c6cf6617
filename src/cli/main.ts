#!/usr/bin/env node
import { Command, CommanderError } from 'commander';
import { EXIT, EXIT_HELP } from './exit.js';
import { withGlobalOptions } from './options.js';

/** A command is loaded when it is asked for: the ones about the cluster bring much that the others don't need. */
const COMMANDS = {
  up: () => import('./commands/up.js'),
  down: () => import('./commands/down.js'),
  status: () => import('./commands/status.js'),
  spawn: () => import('./commands/spawn.js'),
  tasks: () => import('./commands/tasks.js'),
  task: () => import('./commands/task.js'),
  logs: () => import('./commands/logs.js'),
  events: () => import('./commands/events.js'),
} as const;

// `ksi events | head`: a reader that has enough is no failure.
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(EXIT.ok);
    throw error;
  });

const program = withGlobalOptions(new Command('ksi'))
  .configureHelp({ showGlobalOptions: true })
  .description('Runs fleets of Claude Code processes behind NATS JetStream. Data goes to stdout, all else to stderr.')
  .addHelpText('after', EXIT_HELP)
  .addHelpText('after', '\nExamples:\n  $ ksi up\n  $ ksi spawn "Say hello"\n  $ ksi help spawn')
  .exitOverride();

const [, , word = ''] = process.argv;
const asked = Object.entries(COMMANDS).filter(([name]) => name === word);
// For help, and for a wrong word, all are needed.
for (const [, load] of asked.length > 0 ? asked : Object.entries(COMMANDS)) (await load()).register(program);
for (const command of program.commands) command.exitOverride();

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  // Help and version are no errors; the rest was said by commander, on stderr.
  process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
}
