import type { Command } from '../command.js';

export interface CommandGroup {
  readonly title: string;
  /** The files of the commands by their names. Each is loaded when it is needed: most runs of `ksi` need one. */
  readonly commands: Readonly<Record<string, () => Promise<{ readonly register: (program: Command) => void }>>>;
}

/**
 * All commands, in the order of the help, man page and completion.
 *
 * To add a command, add a file like `wait.ts` (or `sessions.ts`, with subcommands) and its entry below, then run `npm run docs` for the man page.
 * The file exports `register`, which declares the command (`description`, arguments, options, `withExamples`, which a test requires) and the
 * function that `calls` calls with a client, the arguments and the options (`runs`: without a client). That function prints data with
 * `output/print.ts` and hints with `say`. If the exit code is not 0, it returns one of `EXIT`. run.ts reports what it throws, with the next
 * step. Import modules that are slow to load inside the function.
 */
export const COMMAND_GROUPS: readonly CommandGroup[] = [
  {
    title: 'Ask Claude',
    commands: {
      spawn: () => import('./spawn.js'),
      chat: () => import('./chat.js'),
    },
  },
  {
    title: 'Tasks',
    commands: {
      tasks: () => import('./tasks.js'),
      task: () => import('./task.js'),
      wait: () => import('./wait.js'),
      logs: () => import('./logs.js'),
      events: () => import('./events.js'),
      approvals: () => import('./approvals.js'),
      input: () => import('./input.js'),
      interrupt: () => import('./interrupt.js'),
      cancel: () => import('./cancel.js'),
      retry: () => import('./retry.js'),
      dead: () => import('./dead.js'),
    },
  },
  {
    title: 'Sessions and usage',
    commands: {
      sessions: () => import('./sessions.js'),
      files: () => import('./files.js'),
      diff: () => import('./diff.js'),
      usage: () => import('./usage.js'),
      delete: () => import('./delete.js'),
      retention: () => import('./retention.js'),
    },
  },
  {
    title: 'Agents and shared state',
    commands: {
      agents: () => import('./agents.js'),
      send: () => import('./send.js'),
      orchestrate: () => import('./orchestrate.js'),
      conversations: () => import('./conversations.js'),
      profiles: () => import('./profiles.js'),
      compositions: () => import('./compositions.js'),
      shared: () => import('./shared.js'),
    },
  },
  {
    title: 'The cluster',
    commands: {
      up: () => import('./up.js'),
      restart: () => import('./restart.js'),
      down: () => import('./down.js'),
      status: () => import('./status.js'),
      workers: () => import('./workers.js'),
      queues: () => import('./queues.js'),
      tokens: () => import('./tokens.js'),
      roots: () => import('./roots.js'),
      context: () => import('./context.js'),
      config: () => import('./config.js'),
      doctor: () => import('./doctor.js'),
    },
  },
  {
    title: 'Legacy daemon',
    commands: {
      bridge: () => import('./bridge.js'),
      import: () => import('./import.js'),
      export: () => import('./export.js'),
    },
  },
  {
    title: 'This program',
    commands: {
      completion: () => import('./completion.js'),
      help: () => import('./help.js'),
    },
  },
];
