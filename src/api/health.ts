import type { Health } from '../../contracts/api/health.js';
import { STREAM } from '../../contracts/wire/names.js';
import { incarnationOf } from '../../contracts/wire/cursor.js';
import type { ApiContext } from './context.js';

/** Why a task that is accepted now could not run; undefined: it can. */
export function whyNotReady({ broker, topology, hub, tail, closing, started }: ApiContext): string | undefined {
  if (closing.aborted) return 'shutting down';
  if (!broker.connected()) return 'the broker is away';
  if (topology.fault !== undefined) return topology.fault;
  const follows = incarnationOf(topology.created(STREAM.events) ?? '') === hub.position.incarnation;
  if (!tail.caughtUp || !follows) return 'the read model is catching up';
  return started() ? undefined : 'the API is starting';
}

/** How this API is. */
export function healthOf(context: ApiContext): Health {
  const { broker, tail, hub, metrics, version } = context;
  const connected = broker.connected();
  const { seq: position, eventId } = tail.model.position;
  return {
    status: whyNotReady(context) === undefined ? 'healthy' : 'degraded',
    version,
    uptime_s: Math.floor(process.uptime()),
    active_connections: metrics.activeConnections,
    broker: { connected },
    read_model: {
      position,
      ...(eventId === undefined ? {} : { event_id: eventId }),
      behind: tail.caughtUp ? 0 : Math.max(0, hub.position.seq - position),
    },
  };
}
