import { setImmediate as yieldToEventLoop } from 'node:timers/promises';
import { readConfig } from '../config/load.js';
import { lockFolder } from '../process/folder-lock.js';
import { identify } from '../process/identity.js';
import { startProcess } from '../process/process-service.js';
import { ControlServer, type ControlRequest } from './control.js';
import { ClusterError, sentError } from './errors.js';
import { endLeftovers, leftovers } from './leftovers.js';
import { checkExternalBroker } from './external-broker.js';
import { clusterPaths } from './paths.js';
import { builtEntries, prepare } from './prepare.js';
import { makeFolders } from './secrets.js';
import type { StartMessage } from './start-message.js';
import { Supervisor, type ClusterStatus } from './supervisor.js';

/**
 * The supervisor, `main.js [--demo]`, which `ksi up` starts detached. If `ksi up` ends before the cluster is ready, so does the supervisor: the
 * pipe between them closes. Afterwards `ksi down`, SIGTERM, SIGINT or SIGQUIT end it. In each case it first stops the cluster in order.
 */
async function main(): Promise<void> {
  const config = readConfig(process.env);
  const { log, onStop, onReopen } = startProcess({ name: 'supervisor', level: config.KSI_LOG_LEVEL });
  const paths = clusterPaths(config.KSI_DIR);
  await makeFolders(paths);
  const me = identify(process.pid);
  if (me === undefined)
    throw new ClusterError(
      'internal',
      'KSI cannot run on this system, because it does not report when a process started.',
    );
  const holder = lockFolder(paths.claim, me);
  if (holder !== undefined) return tell({ taken: holder.pid });

  const progress = (text: string): void => {
    log.info(text);
    tell({ progress: text });
  };
  await endLeftovers(await leftovers(paths), progress);
  await checkExternalBroker(config, progress);
  const plan = await prepare({
    config,
    env: process.env,
    entries: builtEntries(),
    natsServer: config.KSI_NATS_SERVER,
    demo: process.argv.includes('--demo'),
  });
  const supervisor = new Supervisor(plan, log);
  const stop = (why: string): Promise<void> => {
    log.info({ why }, 'stopping');
    end();
    return supervisor.stop((text) => log.info(text));
  };
  onStop((signal) => void stop(signal));
  onReopen(() => supervisor.reopenBrokerLogs());
  process.on('disconnect', () => {
    if (supervisor.status().state === 'starting') void stop('ksi up is gone');
  });
  const control = new ControlServer(paths.socket, (request, report) => answer(supervisor, request, report));
  await control.start();
  try {
    // `ksi up` may have ended before the listener above was added.
    if (!process.connected) await stop('ksi up is gone');
    await supervisor.start(progress);
    tell({ ready: supervisor.status() });
    await ended;
  } finally {
    await supervisor.stop(() => undefined);
    // Let the control server write its answer to `down` first.
    await yieldToEventLoop();
    await control.stop();
  }
}

let end: () => void = () => undefined;
const ended = new Promise<void>((resolve) => {
  end = resolve;
});

async function answer(
  supervisor: Supervisor,
  request: ControlRequest,
  progress: (text: string) => void,
): Promise<ClusterStatus> {
  switch (request.op) {
    case 'status':
      break;
    case 'ready':
      await supervisor.start(progress);
      break;
    case 'scale':
      await supervisor.scale(request.workers, progress);
      break;
    case 'bridge':
      await supervisor.bridge(progress);
      break;
    case 'restart':
      await supervisor.restart(request.env, progress);
      break;
    case 'down':
      await supervisor.stop(progress);
      end();
  }
  return supervisor.status();
}

/** Does nothing if `ksi up` has ended. */
function tell(message: StartMessage): void {
  if (process.connected) process.send?.(message, () => undefined);
}

try {
  await main();
} catch (error) {
  process.stderr.write(
    `${JSON.stringify({ level: 60, msg: (error as Error).message, err: String((error as Error).stack ?? error) })}\n`,
  );
  tell({ failed: sentError(error) });
  process.exitCode = 1;
}
if (process.connected) process.disconnect();
