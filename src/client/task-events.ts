import type { EventEnvelope } from '../../contracts/events/events.js';
import type { Task } from '../../contracts/tasks/task.js';
import { isPassing, pause, pauseBefore } from './backoff.js';
import { KsiError, KsiUnreachableError } from './errors.js';
import { linked } from './linked.js';
import { outcomeOf } from './outcome.js';
import { readServerSentEvents, type ServerSentEvent } from './sse.js';

interface TaskEventsOptions {
  readonly url: string;
  /** Requests the event stream. */
  readonly open: (headers: Record<string, string>, signal: AbortSignal) => Promise<Response>;
  readonly task: (signal: AbortSignal) => Promise<Task>;
  readonly since: string | undefined;
  readonly signal: AbortSignal;
  readonly onRetry: ((error: Error) => void) | undefined;
}

/** KSI sends a heartbeat every 15 s, so a connection that is silent for a minute is dead, even if TCP has not noticed. */
const SILENCE_MS = 60_000;

/** Yields a task's events from server-sent events. After a break, requests the stream again from the last event. */
export async function* followTask(options: TaskEventsOptions): AsyncGenerator<EventEnvelope> {
  const { signal, onRetry } = options;
  let cursor = options.since;
  let connected = false;
  let ended = false;
  for (let broken = 0; ; broken++) {
    let received = false;
    try {
      for await (const message of stream(options, cursor, () => (connected = true))) {
        broken = 0;
        received = true;
        cursor = message.id;
        const event = JSON.parse(message.data) as EventEnvelope;
        yield event;
        if (outcomeOf(event) !== undefined) return;
      }
      // The task had ended before this request, but the stream has no outcome: it is before `since`, or no longer stored.
      if (ended && !received) return;
      ended = (await options.task(signal)).ended_at !== undefined;
    } catch (error) {
      signal.throwIfAborted();
      if (!connected || (error instanceof KsiError && !isPassing(error))) throw error;
      if (!received && error instanceof Error) onRetry?.(error);
    }
    await pause(pauseBefore(broken), signal);
  }
}

/** Yields the events of one connection. */
async function* stream(
  { url, open, signal }: TaskEventsOptions,
  cursor: string | undefined,
  connected: () => void,
): AsyncGenerator<ServerSentEvent> {
  const silence = new AbortController();
  const { signal: combined, release } = linked(signal, silence.signal);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const resetTimer = (): void => {
    clearTimeout(timer);
    timer = setTimeout(
      () => silence.abort(new KsiUnreachableError(url, new Error(`received nothing for ${SILENCE_MS / 1_000} s`))),
      SILENCE_MS,
    );
  };
  try {
    resetTimer();
    const last: Record<string, string> = cursor === undefined ? {} : { 'last-event-id': cursor };
    const answer = await open({ accept: 'text/event-stream', ...last }, combined);
    connected();
    if (answer.status === 204) return; // The task has ended, and there are no more events.
    if (answer.body === null) throw new KsiUnreachableError(url, new Error('the answer has no body'));
    yield* readServerSentEvents(answer.body, resetTimer);
  } finally {
    clearTimeout(timer);
    release();
  }
}
