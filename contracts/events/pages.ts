import { Type, type Static } from 'typebox';
import { TaskParams } from '../tasks/task.js';
import { UUID_PATTERN } from '../wire/names.js';
import { pageOf } from '../wire/page.js';
import { EventEnvelope } from './events.js';

export const EventBody = Type.Unknown({ description: "The event's body as JSON." });

export const EventBodyParams = Type.Object(
  { ...TaskParams.properties, event_id: Type.String({ pattern: UUID_PATTERN, description: "The event's id." }) },
  { additionalProperties: false },
);
export type EventBodyParams = Static<typeof EventBodyParams>;

/** The default page size. */
export const EVENTS_PAGE = 1_000;

export const TaskEventsQuery = Type.Object(
  {
    cursor: Type.Optional(
      Type.String({ description: 'The `next_cursor` of the previous page, or the `cursor` of the last event seen.' }),
    ),
    limit: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 10_000,
        default: EVENTS_PAGE,
        description: 'The maximum number of events in the page. JSON only.',
      }),
    ),
    deltas: Type.Optional(
      Type.Boolean({
        default: false,
        description:
          'Also stream the text as Claude writes it, as `SPAWN_DELTA` without an `id`. Deltas can be missed; the events have the whole text. Event stream only.',
      }),
    ),
    ticket: Type.Optional(
      Type.String({
        description:
          'A ticket from POST /tickets in place of a token, for the EventSource of a browser. Valid once, for 30 s. Event stream only.',
      }),
    ),
  },
  { additionalProperties: false },
);
export type TaskEventsQuery = Static<typeof TaskEventsQuery>;

export const EventPage = pageOf(EventEnvelope, {});
export type EventPage = Static<typeof EventPage>;
