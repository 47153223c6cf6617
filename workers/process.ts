import type { Config } from '../contracts/config/config.js';
import { connectBroker, type Broker } from '../src/broker/connect.js';
import { ConfigError, readConfig } from '../src/config/load.js';
import { refusePlaintext } from '../src/config/plaintext.js';
import { followSupervisor } from '../src/process/follow-supervisor.js';
import { startProcess } from '../src/process/process-service.js';
import { findContainment, GROUP_ONLY, type Containment } from './claude/containment.js';
import { serveProbes, workerMetrics } from './metrics.js';
import { Worker } from './worker.js';

/**
 * The worker process. After SIGTERM or SIGINT it takes no more tasks, and running tasks may finish for KSI_DRAIN_S. After a second signal, SIGQUIT, or
 * the end of its supervisor's pipe, it returns them to the queue at once.
 */
async function main(): Promise<void> {
  const config = readConfig(process.env);
  const { log, onStop } = startProcess({ name: 'worker', level: config.KSI_LOG_LEVEL });
  const connecting = new AbortController();
  let worker: Worker | undefined;
  let requests = 0;
  const stop = (quick: boolean, why: string): void => {
    requests += 1;
    log.info({ quick, why }, 'stopping');
    connecting.abort();
    void worker?.stop({ quick: quick || requests > 1 });
  };
  onStop((signal) => stop(signal === 'SIGQUIT', signal));
  followSupervisor(() => stop(true, 'the supervisor has ended'));

  const metrics = workerMetrics(() => worker);
  const { KSI_METRICS_PORT: port } = config;
  if (port !== undefined)
    refusePlaintext(
      config,
      "a worker's probes have neither TLS nor tokens. Set KSI_ALLOW_PLAINTEXT=yes if other machines may read them.",
    );
  const probes = port === undefined ? undefined : await serveProbes(metrics, () => worker, config.KSI_HOST, port);
  if (probes !== undefined) log.info({ port: probes.port }, 'serving probes and metrics');
  let broker: Broker | undefined;
  try {
    broker = await connectBroker({
      url: config.KSI_NATS_URL ?? `nats://127.0.0.1:${config.KSI_NATS_PORT}`,
      name: `ksi-worker-${process.pid}`,
      credentialsFile: config.KSI_NATS_CREDENTIALS,
      caFile: config.KSI_NATS_TLS_CA,
      inboxPrefix: config.KSI_NATS_INBOX,
      log,
      signal: connecting.signal,
    });
    worker = new Worker({
      broker,
      config,
      env: process.env,
      log,
      containment: await containmentOf(config),
      onTaskEnd: (end) => metrics.countEnd(end),
      onWornOut: () => stop(false, 'KSI_WORKER_MAX_TASKS'),
    });
    // The SDK writes transcripts and a copy of the login to TMPDIR. In this folder, the next worker removes them if this one is killed.
    process.env['TMPDIR'] = worker.temporary;
    await worker.start();
    log.info({ worker_id: worker.id, slots: worker.slots }, 'worker is online');
    await stopped(connecting.signal);
    await worker.stop();
  } catch (error) {
    if (!connecting.signal.aborted) throw error;
  } finally {
    await broker?.close();
    await probes?.stop();
  }
}

/** @throws {ConfigError} if the configuration requires a sandbox and this host cannot create one */
async function containmentOf({ KSI_CONTAINMENT: wanted, KSI_BWRAP: bubblewrap }: Config): Promise<Containment> {
  if (wanted === 'process_group') return GROUP_ONLY;
  const found = await findContainment(bubblewrap);
  if (wanted === 'sandbox' && found.kind !== 'sandbox')
    throw new ConfigError([
      `KSI_CONTAINMENT=sandbox: bubblewrap (${bubblewrap ?? 'bwrap on PATH'}) cannot create a sandbox on this host. Install bubblewrap (Debian: apt install bubblewrap) and allow user namespaces, or set KSI_CONTAINMENT=auto.`,
    ]);
  return found;
}

const stopped = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve());
  });

try {
  await main();
} catch (error) {
  process.stderr.write(
    error instanceof ConfigError
      ? `${error.message}\n`
      : `${JSON.stringify({ level: 60, msg: 'the worker failed', err: String((error as Error).stack ?? error) })}\n`,
  );
  process.exitCode = 1;
}
