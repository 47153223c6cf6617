import type { LegacyCommand } from '../../../contracts/bridge/legacy.js';
import { getAgents, registerAgent, routeTask, spawnAgent } from './agents.js';
import { agentConnection, messageBusStats, publish, subscribe } from './bus.js';
import type { Handler } from './handler.js';
import { createIdentity, getIdentity, listIdentities, removeIdentity, updateIdentity } from './identities.js';
import { getProcesses } from './processes.js';
import { composePrompt, getComposition, getCompositions, listComponents, validateComposition } from './prompts.js';
import { getShared, loadState, setShared } from './shared.js';
import { spawn } from './spawn.js';
import { cleanup, getCommands, healthCheck, reload, reloadDaemon, shutdown } from './system.js';

/** The handler of each command. */
export const HANDLERS: { readonly [C in LegacyCommand]: Handler<C> } = {
  SPAWN: spawn,
  CLEANUP: cleanup,
  RELOAD: reload,
  REGISTER_AGENT: registerAgent,
  GET_AGENTS: getAgents,
  SPAWN_AGENT: spawnAgent,
  ROUTE_TASK: routeTask,
  SUBSCRIBE: subscribe,
  PUBLISH: publish,
  AGENT_CONNECTION: agentConnection,
  MESSAGE_BUS_STATS: messageBusStats,
  SET_SHARED: setShared,
  GET_SHARED: getShared,
  LOAD_STATE: loadState,
  HEALTH_CHECK: healthCheck,
  GET_COMMANDS: getCommands,
  GET_PROCESSES: getProcesses,
  GET_COMPOSITIONS: getCompositions,
  GET_COMPOSITION: getComposition,
  VALIDATE_COMPOSITION: validateComposition,
  LIST_COMPONENTS: listComponents,
  COMPOSE_PROMPT: composePrompt,
  CREATE_IDENTITY: createIdentity,
  UPDATE_IDENTITY: updateIdentity,
  GET_IDENTITY: getIdentity,
  LIST_IDENTITIES: listIdentities,
  REMOVE_IDENTITY: removeIdentity,
  RELOAD_DAEMON: reloadDaemon,
  SHUTDOWN: shutdown,
};
