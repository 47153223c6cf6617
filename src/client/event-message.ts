import type { EventEnvelope, SpawnDelta } from '../../contracts/events/events.js';
import type { GapFrame } from '../../contracts/api/ws.js';

/** Partial text of a task, as it is written. */
export type LiveDelta = SpawnDelta & { readonly subject: string };

/** What comes of following subjects: an event, partial text, or that some events are gone. */
export type EventMessage = EventEnvelope | LiveDelta | GapFrame;

export const isGap = (message: EventMessage): message is GapFrame => 'op' in message;
export const isDelta = (message: EventMessage): message is LiveDelta =>
  'type' in message && message.type === 'SPAWN_DELTA';
export const isEvent = (message: EventMessage): message is EventEnvelope => 'seq' in message;
