import type { Health } from '../../contracts/api/health.js';
import { STREAM } from '../../contracts/wire/names.js';
import { incarnationOf } from '../../contracts/wire/cursor.js';
import type { Broker } from '../broker/connect.js';
import type { TopologyManager } from '../broker/topology-manager.js';
import type { Store } from '../store/start.js';
import type { Tasks } from '../tasks/start.js';
import type { Metrics } from '../telemetry/metrics.js';
import { defined } from '../defined.js';

export interface HealthServices extends Pick<Store, 'hub' | 'tail'>, Pick<Tasks, 'disk' | 'gauge'> {
  readonly broker: Broker;
  readonly topology: Pick<TopologyManager, 'fault' | 'full' | 'fullForSome' | 'created'>;
  readonly metrics: Metrics;
  readonly version: string;
  /** Aborts when the API begins to shut down. */
  readonly closing: AbortSignal;
  /** Whether all parts of the API have started. The server listens earlier. */
  readonly started: () => boolean;
}

export interface NotReady {
  readonly reason: string;
  /** Set if everything works, but a disk, a stream or every queue is full. */
  readonly full?: true;
}

/** Returns the reason why a new task could not be accepted and run now. Undefined: it could. */
export function readinessFault(services: HealthServices): NotReady | undefined {
  const reason = componentFault(services);
  if (reason !== undefined) return { reason };
  const full = capacityFault(services);
  return full === undefined ? undefined : { reason: full, full: true };
}

function componentFault({ broker, topology, hub, tail, closing, started }: HealthServices): string | undefined {
  if (closing.aborted) return 'shutting down';
  if (!broker.connected()) return 'the connection to the broker is lost';
  if (topology.fault !== undefined) return topology.fault;
  const follows = incarnationOf(topology.created(STREAM.events) ?? '') === hub.position.incarnation;
  if (!tail.caughtUp || !follows) return 'the read model is catching up';
  return started() ? undefined : 'the API is starting';
}

function capacityFault({ topology, disk, gauge: capacity }: HealthServices): string | undefined {
  const folder = disk.full();
  if (folder !== undefined) return `the disk of ${folder} is full`;
  return topology.full ?? topology.fullForSome ?? capacity.full();
}

/** The state of this API. */
export function healthView(services: HealthServices): Health {
  const { broker, tail, hub, metrics, version } = services;
  const connected = broker.connected();
  const { seq: position, eventId } = tail.model.position;
  return {
    status: readinessFault(services) === undefined ? 'healthy' : 'degraded',
    version,
    uptime_s: Math.floor(process.uptime()),
    active_connections: metrics.activeConnections,
    broker: { connected },
    read_model: defined({
      position,
      event_id: eventId,
      behind: tail.caughtUp ? 0 : Math.max(0, hub.position.seq - position),
    }),
  };
}
