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
 * All commands, as the help, the man page and the completion list them.
 *
 * A new one is a file here, in the manner of `wait.ts` (or, with commands of its own, `sessions.ts`), and a line below; then `npm run docs`
 * for the man page. Its file exports `register`, which says what it is (`description`, arguments, options, `withExamples`: a test fails without
 * examples) and runs one function by `runCommand`. That function takes the options by `command.optsWithGlobals<…>()`, speaks to the
 * API through `clientOf(options)`, writes data by `output/print.ts` and hints by `say`, and returns an exit code of `EXIT`; whatever it throws is
 * told, with the next step, by run.ts. What is slow to load and not for every command, it imports itself.
 */
export const COMMAND_GROUPS: readonly { readonly title: string; readonly commands: readonly CommandModule[] }[] = [
  { title: 'Ask Claude', commands: [spawn, chat] },
  { title: 'Tasks', commands: [tasks, task, wait, logs, events, approvals, input, interrupt, cancel, retry, dead] },
  { title: 'Sessions and what they took', commands: [sessions, usage, remove, retention] },
  {
    title: 'Agents, and what they share',
    commands: [agents, send, orchestrate, conversations, profiles, compositions, shared],
  },
  { title: 'The cluster', commands: [up, down, status, workers, queues, tokens, config, doctor] },
  { title: 'The old daemon', commands: [bridge, importing, exporting] },
  { title: 'This program', commands: [completion, help] },
];
