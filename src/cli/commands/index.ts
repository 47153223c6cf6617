import type { Command } from '../command.js';
import * as agents from './agents.js';
import * as approvals from './approvals.js';
import * as bridge from './bridge.js';
import * as cancel from './cancel.js';
import * as chat from './chat.js';
import * as completion from './completion.js';
import * as compositions from './compositions.js';
import * as config from './config.js';
import * as conversations from './conversations.js';
import * as dead from './dead.js';
import * as remove from './delete.js';
import * as doctor from './doctor.js';
import * as down from './down.js';
import * as events from './events.js';
import * as exporting from './export.js';
import * as help from './help.js';
import * as importing from './import.js';
import * as input from './input.js';
import * as interrupt from './interrupt.js';
import * as logs from './logs.js';
import * as orchestrate from './orchestrate.js';
import * as profiles from './profiles.js';
import * as queues from './queues.js';
import * as retention from './retention.js';
import * as retry from './retry.js';
import * as send from './send.js';
import * as sessions from './sessions.js';
import * as shared from './shared.js';
import * as spawn from './spawn.js';
import * as status from './status.js';
import * as task from './task.js';
import * as tasks from './tasks.js';
import * as tokens from './tokens.js';
import * as up from './up.js';
import * as usage from './usage.js';
import * as wait from './wait.js';
import * as workers from './workers.js';

interface CommandModule {
  readonly register: (program: Command) => void;
}

/**
 * All commands, in the order of the help, man page and completion.
 *
 * To add a command, add a file like `wait.ts` (or `sessions.ts`, with subcommands) and its entry below, then run `npm run docs` for the man page.
 * The file exports `register`, which declares the command (`description`, arguments, options, `withExamples`, which a test requires) and the
 * function that `runs` calls with the arguments and options. That function calls the API through `clientOf(options)`, prints data with
 * `output/print.ts` and hints with `say`, and returns an exit code of `EXIT`. run.ts reports what it throws, with the next step. Import modules
 * that are slow to load inside the function.
 */
export const COMMAND_GROUPS: readonly { readonly title: string; readonly commands: readonly CommandModule[] }[] = [
  { title: 'Ask Claude', commands: [spawn, chat] },
  { title: 'Tasks', commands: [tasks, task, wait, logs, events, approvals, input, interrupt, cancel, retry, dead] },
  { title: 'Sessions and usage', commands: [sessions, usage, remove, retention] },
  {
    title: 'Agents and shared state',
    commands: [agents, send, orchestrate, conversations, profiles, compositions, shared],
  },
  { title: 'The cluster', commands: [up, down, status, workers, queues, tokens, config, doctor] },
  { title: 'Legacy daemon', commands: [bridge, importing, exporting] },
  { title: 'This program', commands: [completion, help] },
];
