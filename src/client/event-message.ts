import type { EventEnvelope, SpawnDelta } from '../../contracts/events.js';
import type { ServerFrame } from '../../contracts/ws.js';

/** Partial text of a task, as it is written. */
export type LiveDelta = SpawnDelta & { readonly subject: string };

/** Events that were asked for and are no longer kept: those with a `seq` from `from` to `to`. */
export type EventGap = Extract<ServerFrame, { op: 'gap' }>;

/** What comes of following subjects: an event, partial text, or that some events are gone. */
export type EventMessage = EventEnvelope | LiveDelta | EventGap;

export const isGap = (message: EventMessage): message is EventGap => 'op' in message;
export const isDelta = (message: EventMessage): message is LiveDelta =>
  'type' in message && message.type === 'SPAWN_DELTA';
export const isEvent = (message: EventMessage): message is EventEnvelope => 'seq' in message;
