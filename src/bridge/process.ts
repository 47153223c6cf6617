import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { apiUrls } from '../cluster/endpoints.js';
import { ConfigError, listOf, readConfig } from '../config/load.js';
import { followSupervisor } from '../process/follow-supervisor.js';
import { startProcess } from '../process/process-service.js';
import { BridgeError } from './errors.js';
import { startBridge } from './start.js';

/**
 * The bridge as a process of a cluster (`make up BRIDGE=1`). It ends on SIGTERM, SIGINT or SIGQUIT, when the supervisor's pipe closes, and when a
 * client sends SHUTDOWN.
 */
try {
  await main();
} catch (error) {
  const known = error instanceof ConfigError || error instanceof BridgeError;
  process.stderr.write(`${known ? error.message : String(error instanceof Error ? error.stack : error)}\n`);
  process.exitCode = 1;
}

async function main(): Promise<void> {
  const config = readConfig(process.env);
  const { log, onStop } = startProcess({
    level: config.KSI_LOG_LEVEL,
    base: { process: config.KSI_PROCESS ?? 'bridge' },
  });
  const tokenFile = config.KSI_BRIDGE_TOKEN_FILE ?? config.KSI_TOKEN_FILE ?? join(config.KSI_DIR, 'token');
  const { url } = apiUrls(config.KSI_HOST, config.KSI_PORT, config.KSI_TLS_CERT !== undefined);
  const bridge = await startBridge({
    connection: { url, token: (await readFile(tokenFile, 'utf8')).trim() },
    dir: config.KSI_BRIDGE_DIR ?? join(config.KSI_DIR, 'bridge'),
    socket: config.KSI_BRIDGE_SOCKET,
    upstream:
      config.KSI_BRIDGE_UPSTREAM === undefined
        ? undefined
        : { path: config.KSI_BRIDGE_UPSTREAM, forward: config.KSI_BRIDGE_FORWARD },
    prompts: config.KSI_PROMPTS,
    tools: listOf(config.KSI_BRIDGE_TOOLS),
    log,
  });
  const stop = (): void => {
    bridge.stop().catch((error: unknown) => {
      log.fatal({ err: error }, 'the bridge could not stop cleanly');
      process.exit(1);
    });
  };
  onStop(stop);
  followSupervisor(stop);
  await bridge.ended;
}
