import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Config } from '../../contracts/config/config.js';
import { serviceOf } from '../process/lifecycle.js';
import { Blobs } from './blobs.js';
import { connectBroker } from './connect.js';
import { KnownStreams } from './known-streams.js';
import { TopologyKeeper } from './topology-keeper.js';

export interface BrokerServiceOptions {
  readonly config: Config;
  /** Of this process, for what it remembers about the broker. */
  readonly folder: string;
  /** Told how to learn why the topology is not there yet. */
  readonly explain: (fault: () => TopologyKeeper['fault']) => void;
  /** How long the loss of a stream is reported before it is made anew. Default 5 s. */
  readonly reportLossMs?: number | undefined;
  readonly log: Logger;
  /** Ends the wait for the broker. */
  readonly signal: AbortSignal;
}

/** The connection to the broker, with its streams in place and its clock known. @throws {BrokerError} */
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
    const topology = lifecycle.add(new TopologyKeeper({ broker, config, known, reportMs: reportLossMs, log }));
    explain(() => topology.fault);
    await topology.make(signal);
    topology.watch();
    await broker.clock.known(signal);
    return { broker, blobs: new Blobs(broker), topology };
  });
