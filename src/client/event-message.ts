import type { EventEnvelope, SpawnDelta } from '../../contracts/events/events.js';
import type { GapFrame } from '../../contracts/api/ws.js';

/** Partial text of a task, as Claude writes it. Deltas are not stored. */
export type LiveDelta = SpawnDelta & { readonly subject: string };

/** A message from `events`: an event, a delta, or a gap, which names events that are no longer stored. */
export type EventMessage = EventEnvelope | LiveDelta | GapFrame;

export const isGap = (message: EventMessage): message is GapFrame => 'op' in message;
export const isDelta = (message: EventMessage): message is LiveDelta =>
  'type' in message && message.type === 'SPAWN_DELTA';
export const isEvent = (message: EventMessage): message is EventEnvelope => 'seq' in message;
