import type { EventEnvelope } from '../../contracts/events/events.js';
import type { Task } from '../../contracts/tasks/task.js';
import { isPassing, pause, pauseBefore } from './backoff.js';
import { KsiError, KsiUnreachableError } from './errors.js';
import { linked } from './linked.js';
import { outcomeOf } from './outcome.js';
import { readServerSentEvents, type ServerSentEvent } from './sse.js';

interface TaskEventsOptions {
  readonly url: string;
  /** Asks for the stream. */
  readonly open: (headers: Record<string, string>, signal: AbortSignal) => Promise<Response>;
  readonly task: (signal: AbortSignal) => Promise<Task>;
  readonly since: string | undefined;
  readonly signal: AbortSignal;
  readonly onRetry: ((error: Error) => void) | undefined;
}

/** KSI sends a comment every 15 s; a connection silent for longer is dead, whatever TCP believes. */
const SILENCE_MS = 60_000;

/** A task's events by server-sent events, which are asked for again, from the last one, when the connection breaks. */
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
      // Known to have ended before it was asked for, and yet no outcome: `since` was after it, or it is no longer kept.
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

/** One connection, to its end. */
async function* stream(
  { url, open, signal }: TaskEventsOptions,
  cursor: string | undefined,
  connected: () => void,
): AsyncGenerator<ServerSentEvent> {
  const silence = new AbortController();
  const { signal: either, release } = linked(signal, silence.signal);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const heard = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(new KsiUnreachableError(url, new Error('nothing was heard'))), SILENCE_MS);
  };
  try {
    heard();
    const last: Record<string, string> = cursor === undefined ? {} : { 'last-event-id': cursor };
    const answer = await open({ accept: 'text/event-stream', ...last }, either);
    connected();
    if (answer.body === null) throw new KsiUnreachableError(url, new Error('an answer without a body'));
    yield* readServerSentEvents(answer.body, heard);
  } finally {
    clearTimeout(timer);
    release();
  }
}
