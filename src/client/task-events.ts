import type { EventEnvelope } from '../../contracts/events.js';
import { isEnded, statusOfEvent } from '../../contracts/states.js';
import { isPassing, pause, pauseBefore } from './backoff.js';
import { KsiError, KsiUnreachableError } from './errors.js';
import type { HttpTransport } from './http.js';
import { readServerSentEvents } from './sse.js';
import type { FollowOptions } from './transport.js';

/** A task's events by server-sent events, which are asked for again, from the last one, when the connection breaks. */
export async function* followTask(
  http: Pick<HttpTransport, 'url' | 'request' | 'call'>,
  id: string,
  { since, signal, onRetry }: FollowOptions,
): AsyncGenerator<EventEnvelope> {
  let cursor = since;
  let connected = false;
  let ended = false;
  for (let broken = 0; ; broken++) {
    let received = false;
    try {
      const answer = await http.request(`/tasks/${encodeURIComponent(id)}/events`, {
        headers: { accept: 'text/event-stream', ...(cursor === undefined ? {} : { 'last-event-id': cursor }) },
        ...(signal === undefined ? {} : { signal }),
      });
      connected = true;
      if (answer.body === null) throw new KsiUnreachableError(http.url, new Error('an answer without a body'));
      for await (const { id: at, data } of readServerSentEvents(answer.body)) {
        broken = 0;
        received = true;
        cursor = at;
        const event = JSON.parse(data) as EventEnvelope;
        yield event;
        const status = statusOfEvent(event.type);
        if (status !== undefined && isEnded(status)) return;
      }
      // Known to have ended before it was asked for, and yet no outcome: `since` was after it, or it is no longer kept.
      if (ended && !received) return;
      ended = (await http.call('task', { id }, { signal })).ended_at !== undefined;
    } catch (error) {
      signal?.throwIfAborted();
      if (!connected || (error instanceof KsiError && !isPassing(error))) throw error;
      if (!received && error instanceof Error) onRetry?.(error);
    }
    await pause(pauseBefore(broken), signal);
  }
}
