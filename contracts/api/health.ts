import { Type, type Static } from 'typebox';

export const Health = Type.Object({
  status: Type.Enum(['healthy', 'degraded']),
  version: Type.String(),
  uptime_s: Type.Integer(),
  active_connections: Type.Integer({ description: 'WebSocket and SSE clients of this API.' }),
  broker: Type.Object({ connected: Type.Boolean(), url: Type.Optional(Type.String()) }),
  read_model: Type.Object({
    position: Type.Integer(),
    event_id: Type.Optional(Type.String({ description: 'Of the event at `position`.' })),
    behind: Type.Integer({ description: 'Events not applied yet.' }),
  }),
});
export type Health = Static<typeof Health>;

/** GET /livez. */
export const Liveness = Type.Object({ live: Type.Literal(true) });
export type Liveness = Static<typeof Liveness>;

/** GET /readyz. */
export const Readiness = Type.Object({
  ready: Type.Boolean(),
  reason: Type.Optional(Type.String({ description: 'Why it is not ready.' })),
  full: Type.Optional(Type.Boolean({ description: 'The API runs, and takes tasks when there is room again.' })),
});
export type Readiness = Static<typeof Readiness>;
