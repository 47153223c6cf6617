import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Config } from '../../contracts/config/config.js';
import { serviceOf } from '../process/lifecycle.js';
import { Blobs } from './blobs.js';
import { connectBroker } from './connect.js';
import { KnownStreams } from './known-streams.js';
import { TopologyManager } from './topology-manager.js';

export interface BrokerServiceOptions {
  readonly config: Config;
  /** This process's folder for state about the broker. */
  readonly folder: string;
  /** Receives a function that returns the current topology fault. */
  readonly explain: (fault: () => TopologyManager['fault']) => void;
  /** How long a lost stream is reported before it is re-created. Default: 5 s. */
  readonly reportLossMs?: number | undefined;
  readonly log: Logger;
  /** Aborts the wait for the broker. */
  readonly signal: AbortSignal;
}

/** Connects to the broker, ensures its topology, and waits for its time. @throws {BrokerError} */
export const startBroker = ({ config, folder, explain, reportLossMs, log, signal }: BrokerServiceOptions) =>
  serviceOf(log, async (lifecycle) => {
    const broker = await connectBroker({
      url: config.KSI_NATS_URL ?? `nats://127.0.0.1:${config.KSI_NATS_PORT}`,
      name: config.KSI_PROCESS ?? 'api',
      credentialsFile: config.KSI_NATS_CREDENTIALS,
      caFile: config.KSI_NATS_TLS_CA,
      inboxPrefix: config.KSI_NATS_INBOX,
      log,
      signal,
    });
    lifecycle.add({ stop: () => broker.close() });
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const known = lifecycle.add(await KnownStreams.open(join(folder, 'streams.json'), log));
    const topology = lifecycle.add(new TopologyManager({ broker, config, known, reportMs: reportLossMs, log }));
    explain(() => topology.fault);
    await topology.make(signal);
    topology.watch();
    await broker.clock.known(signal);
    return { broker, blobs: new Blobs(broker), topology };
  });
