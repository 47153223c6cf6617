import { EVENTS_PAGE } from '../../contracts/events/pages.js';
import { SUBJECT } from '../../contracts/wire/names.js';
import type { HubEvent } from '../events/hub-event.js';
import type { EventHub } from '../events/hub.js';
import { apiErrorOf } from '../errors/api-error.js';

/**
 * A task's events after a sequence.
 * @returns the events; `more` is the cursor of the last one if further events follow. @throws {ApiError}
 */
export async function eventPage(
  hub: EventHub,
  taskId: string,
  after: number,
  limit = EVENTS_PAGE,
): Promise<{ events: readonly HubEvent[]; more: string | undefined }> {
  const events: HubEvent[] = [];
  try {
    for await (const event of hub.read(SUBJECT.taskAll(taskId), after, Number.MAX_SAFE_INTEGER)) {
      if (events.length === limit) return { events, more: events.at(-1)?.cursor };
      events.push(event);
    }
  } catch (error) {
    throw apiErrorOf(error);
  }
  return { events, more: undefined };
}
