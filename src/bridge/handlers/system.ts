import { LEGACY_COMMANDS, LEGACY_COMMAND_NAMES, LEGACY_VERSION } from '../../../contracts/bridge/legacy.js';
import { cleanUp } from '../files/clean-up.js';
import type { Handler } from './handler.js';

export const healthCheck: Handler<'HEALTH_CHECK'> = async (_parameters, { client, began }) => {
  const { status, version, uptime_s, broker } = await client.health();
  const own = Math.floor((performance.now() - began) / 1000);
  const uptime_info = `Bridge up ${own} s; KSI ${version} up ${uptime_s} s, ${status}, broker ${broker.connected ? 'connected' : 'disconnected'}`;
  return { result: { status: 'healthy', message: 'HEALTHY', uptime_info } };
};

export const getCommands: Handler<'GET_COMMANDS'> = async () => {
  const commands = Object.fromEntries(
    LEGACY_COMMAND_NAMES.map((name) => [
      name,
      { type: LEGACY_COMMANDS[name].type, protocol: `JSON v${LEGACY_VERSION}` },
    ]),
  );
  return { result: { commands, total_commands: LEGACY_COMMAND_NAMES.length, protocol_version: LEGACY_VERSION } };
};

/** Deletes files of the working folder only. `ksi delete` deletes KSI's own data. */
export const cleanup: Handler<'CLEANUP'> = async ({ cleanup_type }, { dir, socket }) => {
  const details = await cleanUp(cleanup_type, dir, socket);
  return { result: { status: 'cleaned', cleanup_type, details } };
};

/** Imports profiles from the working folder. KSI reloads its prompt files by itself. */
export const reload: Handler<'RELOAD'> = async ({ module_name }, { reread }) => {
  const message = await reread();
  return { result: { status: 'reloaded', module: module_name, message } };
};

export const reloadDaemon: Handler<'RELOAD_DAEMON'> = async (_parameters, { reread }) => {
  const message = await reread();
  return { result: { status: 'reloaded', message: `KSI keeps the state, and nothing was restarted. ${message}` } };
};

export const shutdown: Handler<'SHUTDOWN'> = async (_parameters, { shutDown }) => ({
  result: {
    status: 'shutting_down',
    message: 'SHUTTING DOWN',
    details: 'The bridge ends. KSI and its runs continue. Run `make down` to stop them.',
  },
  after: shutDown,
});
