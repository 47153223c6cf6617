import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Config } from '../../contracts/config/config.js';
import { STREAM } from '../../contracts/wire/names.js';
import type { Blobs } from '../broker/blobs.js';
import type { Broker } from '../broker/connect.js';
import type { TopologyManager } from '../broker/topology-manager.js';
import { EventHub } from '../events/hub.js';
import { Limit } from '../limit.js';
import { serviceOf } from '../process/lifecycle.js';
import { Projector } from './projector.js';

export interface StoreOptions {
  readonly broker: Broker;
  readonly blobs: Blobs;
  readonly topology: Pick<TopologyManager, 'onAnother'>;
  /** This process's folder, for the read model. */
  readonly folder: string;
  readonly config: Pick<Config, 'KSI_RETENTION_EXCHANGES_S'>;
  readonly log: Logger;
}

const MAX_REPLAYS = 8;
const DAY_S = 86_400;

export type Store = Awaited<ReturnType<typeof startStore>>;

/** Starts the event hub and the read model. */
export const startStore = ({ broker, blobs, topology, folder, config, log }: StoreOptions) =>
  serviceOf(log, async (lifecycle) => {
    const hub = lifecycle.add(new EventHub(broker, blobs, log));
    await hub.start();
    topology.onAnother((stream) => {
      if (stream === STREAM.events) void hub.catchUp();
    });
    const limit = new Limit(MAX_REPLAYS);
    const path = join(folder, 'read-model.mdb');
    const exchangeDays = Math.ceil(config.KSI_RETENTION_EXCHANGES_S / DAY_S) + 1;
    const tail = lifecycle.add(await Projector.open({ broker, blobs, hub, limit, path, exchangeDays, log }));
    return { hub, limit, tail, model: tail.model };
  });
