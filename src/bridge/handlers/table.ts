import type { LegacyCommand } from '../../../contracts/legacy.js';
import type { Handler } from './handler.js';
import { getProcesses } from './processes.js';
import { spawn } from './spawn.js';
import { cleanup, getCommands, healthCheck, reload, reloadDaemon, shutdown } from './system.js';

/** Who serves which command. */
export const HANDLERS: { readonly [C in LegacyCommand]?: Handler<C> } = {
  SPAWN: spawn,
  CLEANUP: cleanup,
  RELOAD: reload,
  HEALTH_CHECK: healthCheck,
  GET_COMMANDS: getCommands,
  GET_PROCESSES: getProcesses,
  RELOAD_DAEMON: reloadDaemon,
  SHUTDOWN: shutdown,
};
