import type { Health } from '../../contracts/http.js';
import type { ApiContext } from './context.js';

/** How this API is. */
export function healthOf({ broker, tail, hub, metrics, version }: ApiContext): Health {
  const connected = broker.connected();
  const position = tail.model.position.seq;
  return {
    status: connected && tail.caughtUp ? 'healthy' : 'degraded',
    version,
    uptime_s: Math.floor(process.uptime()),
    active_connections: metrics.activeConnections,
    broker: { connected },
    read_model: { position, behind: tail.caughtUp ? 0 : Math.max(0, hub.position.seq - position) },
  };
}
