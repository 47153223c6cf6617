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
