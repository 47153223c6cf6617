import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ConfigError, readConfig } from '../config/load.js';
import { followSupervisor } from '../process/follow-supervisor.js';
import { startProcess } from '../process/process-service.js';
import { startApi, type Api } from './start.js';

const PACKAGE = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..', 'package.json');

try {
  await main();
} catch (error) {
  process.stderr.write(
    `${error instanceof ConfigError ? error.message : String(error instanceof Error ? error.stack : error)}\n`,
  );
  process.exitCode = 1;
}

/** Runs the API until SIGTERM, SIGINT, SIGQUIT or the end of the supervisor's pipe on stdin. A second one exits at once. */
async function main(): Promise<void> {
  const config = readConfig(process.env);
  const { log, onStop } = startProcess({ level: config.KSI_LOG_LEVEL, base: { process: config.KSI_PROCESS ?? 'api' } });
  const tokenFile = config.KSI_TOKEN_FILE ?? join(config.KSI_DIR, 'token');
  const token = (await readFile(tokenFile, 'utf8')).trim();
  if (token === '') throw new Error(`${tokenFile} is empty. Write a token to it, or delete it and run \`make up\`.`);
  const { version } = JSON.parse(await readFile(PACKAGE, 'utf8')) as { version: string };
  const stopping = new AbortController();
  let api: Api | undefined;
  const stop = (): void => {
    if (stopping.signal.aborted) process.exit(1);
    stopping.abort();
    log.info('shutting down');
    api?.stop().catch((error: unknown) => {
      log.fatal({ err: error }, 'shutdown failed');
      process.exit(1);
    });
  };
  onStop(stop);
  followSupervisor(stop);
  try {
    api = await startApi({ config, token, version, log, signal: stopping.signal });
  } catch (error) {
    // A stop during the wait for the broker is not a failure. A timer passes the signal's reason on as `cause`.
    const { reason } = stopping.signal;
    if (stopping.signal.aborted && (error === reason || (error instanceof Error && error.cause === reason))) return;
    throw error;
  }
  // `stop` was called before `api` was set.
  if (stopping.signal.aborted) await api.stop();
}
