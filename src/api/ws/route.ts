import type { IncomingMessage } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { REQUEST_ID_HEADER } from '../../../contracts/wire/names.js';
import { CLOSE } from '../../../contracts/wire/errors.js';
import { EventsQuery } from '../../../contracts/api/ws.js';
import { onAbort } from '../../abort.js';
import { ApiError } from '../../errors/api-error.js';
import type { Authenticator } from '../../access/auth.js';
import type { Metrics } from '../../telemetry/metrics.js';
import { sequenceOf, settledSequenceOf } from '../../tasks/event-cursor.js';
import { principalOf } from '../http/request-principal.js';
import { EventConnection, parseSubjects, type ConnectionServices } from './connection.js';
import type { LiveFeed } from './live.js';
import { Outgoing } from './outgoing.js';

/** The interval of pings. A client that has not answered one by the next is disconnected. */
const PING_MS = 30_000;

export interface EventsServices extends ConnectionServices {
  readonly authenticator: Authenticator;
  readonly metrics: Metrics;
  readonly live: LiveFeed;
  /** Aborts when the API begins to shut down. */
  readonly closing: AbortSignal;
}

export function eventsRoute(app: FastifyInstance, services: EventsServices): void {
  const { hub, metrics, closing, log, authenticator, audit, live } = services;
  const upgrades = new WeakMap<IncomingMessage, string>();
  app.websocketServer.on('headers', (headers: string[], raw: IncomingMessage) =>
    headers.push(`${REQUEST_ID_HEADER}: ${upgrades.get(raw) ?? ''}`),
  );
  app.route<{ Querystring: EventsQuery }>({
    method: 'GET',
    url: '/events',
    config: { scope: 'read', takesTicket: 'websocket' },
    schema: { querystring: EventsQuery },
    // Check the query before the upgrade, so that a fault gets an HTTP answer.
    preHandler: async ({ id, raw, query: { since, subject } }) => {
      upgrades.set(raw, id);
      if (subject !== undefined) parseSubjects([subject]);
      if (since !== undefined) await settledSequenceOf(since, hub);
    },
    handler: async () => {
      throw new ApiError('invalid_request', 'GET /events is a WebSocket: send `Upgrade: websocket`');
    },
    wsHandler: (socket, request) => {
      const { since, subject } = request.query;
      const out = new Outgoing(socket, request.socket);
      const principal = principalOf(request);
      const { id: requestId } = request;
      const connection = new EventConnection({
        services: {
          ...services,
          log: log.child({ request_id: requestId }),
          audit: { record: (entry) => audit.record({ ...entry, request_id: requestId }) },
        },
        principal,
        requestId,
        incoming: socket,
        out,
        live,
      });
      const disconnected = metrics.connected();
      const ended = new AbortController();
      const { signal } = ended;
      let alive = true;
      const pinging = setInterval(() => {
        if (!alive) return socket.terminate();
        alive = false;
        socket.ping();
      }, PING_MS);
      socket.on('pong', () => (alive = true));
      socket.on('message', (data, isBinary) => connection.onMessage(data, isBinary));
      // After a malformed or too large frame, ws closes the connection with the close code itself.
      socket.on('error', (error) => request.log.debug({ err: error }, 'a WebSocket client violated the protocol'));
      socket.on('close', () => {
        ended.abort();
        clearInterval(pinging);
        connection.stop();
        disconnected();
      });
      const restart = (): void => out.close(CLOSE.restart, 'this API is shutting down');
      const unsubscribe = onAbort(closing, restart);
      // The shutdown may have begun before `onAbort`.
      if (closing.aborted) return restart();
      signal.addEventListener('abort', unsubscribe);
      const unfollow = hub.onReset(() => out.close(CLOSE.restart, 'the event stream was re-created'));
      signal.addEventListener('abort', unfollow);
      const unwatch = authenticator.onEnd(principal, () =>
        out.close(CLOSE.revoked, 'the token was revoked or has expired'),
      );
      signal.addEventListener('abort', unwatch);
      connection.open(
        subject === undefined ? undefined : [subject],
        since === undefined ? undefined : sequenceOf(since, hub),
      );
    },
  });
}
