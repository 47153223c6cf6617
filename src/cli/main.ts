#!/usr/bin/env node
import { Command, CommanderError } from 'commander';
import * as agents from './commands/agents.js';
import * as approvals from './commands/approvals.js';
import * as bridge from './commands/bridge.js';
import * as cancel from './commands/cancel.js';
import * as dead from './commands/dead.js';
import * as remove from './commands/delete.js';
import * as doctor from './commands/doctor.js';
import * as down from './commands/down.js';
import * as events from './commands/events.js';
import * as exporting from './commands/export.js';
import * as importing from './commands/import.js';
import * as input from './commands/input.js';
import * as interrupt from './commands/interrupt.js';
import * as logs from './commands/logs.js';
import * as retry from './commands/retry.js';
import * as send from './commands/send.js';
import * as sessions from './commands/sessions.js';
import * as spawn from './commands/spawn.js';
import * as status from './commands/status.js';
import * as task from './commands/task.js';
import * as tasks from './commands/tasks.js';
import * as tokens from './commands/tokens.js';
import * as usage from './commands/usage.js';
import * as up from './commands/up.js';
import * as workers from './commands/workers.js';
import { EXIT, EXIT_HELP } from './exit.js';
import { withGlobalOptions } from './options.js';

// What a command alone needs, and is slow to load, it loads itself.
const COMMANDS = [
  up,
  down,
  status,
  doctor,
  workers,
  spawn,
  tasks,
  task,
  logs,
  events,
  cancel,
  interrupt,
  input,
  approvals,
  agents,
  send,
  sessions,
  usage,
  retry,
  dead,
  remove,
  tokens,
  bridge,
  importing,
  exporting,
];

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

for (const { register } of COMMANDS) register(program);

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  // Help and version are no errors; the rest was said by commander, on stderr.
  process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
}
