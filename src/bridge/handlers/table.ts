import type { LegacyCommand } from '../../../contracts/legacy.js';
import { getAgents, registerAgent } from './agents.js';
import { agentConnection, messageBusStats, publish, subscribe } from './bus.js';
import type { Handler } from './handler.js';
import { getProcesses } from './processes.js';
import { spawn } from './spawn.js';
import { cleanup, getCommands, healthCheck, reload, reloadDaemon, shutdown } from './system.js';

/** Who serves which command. */
export const HANDLERS: { readonly [C in LegacyCommand]?: Handler<C> } = {
  SPAWN: spawn,
  CLEANUP: cleanup,
  RELOAD: reload,
  REGISTER_AGENT: registerAgent,
  GET_AGENTS: getAgents,
  SUBSCRIBE: subscribe,
  PUBLISH: publish,
  AGENT_CONNECTION: agentConnection,
  MESSAGE_BUS_STATS: messageBusStats,
  HEALTH_CHECK: healthCheck,
  GET_COMMANDS: getCommands,
  GET_PROCESSES: getProcesses,
  RELOAD_DAEMON: reloadDaemon,
  SHUTDOWN: shutdown,
};
