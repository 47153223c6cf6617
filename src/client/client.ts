import type { EventEnvelope } from '../../contracts/events.js';
import type { Problem, SpawnAccepted, Task, TaskPage, TasksQuery } from '../../contracts/http.js';
import type { WorkerList } from '../../contracts/workers.js';
import type { SpawnRequest } from '../../contracts/spawn.js';
import { SUBJECT } from '../../contracts/names.js';
import { isEnded, statusOfEvent } from '../../contracts/states.js';
import { isPassing, pause, pauseBefore } from './backoff.js';
import { KsiError, KsiUnreachableError } from './errors.js';
import { followSocket, type SocketMessage } from './socket.js';
import { readServerSentEvents } from './sse.js';

export interface KsiClientOptions {
  /** An API's address, as `http://127.0.0.1:8000`. */
  readonly url: string;
  readonly token: string;
}

interface Cancellable {
  readonly signal?: AbortSignal | undefined;
}

export interface FollowOptions extends Cancellable {
  /** Cursor of the last event seen: what came after it is given first. */
  readonly since?: string | undefined;
  /** Told of each attempt in vain to resume a broken connection; the next one follows by itself. */
  readonly onRetry?: ((error: Error) => void) | undefined;
}

/** Events of a page of `GET /tasks/:id/events`: asked for, as only then the answer has the cursor of the next one. */
const PAGE = 1_000;

/** A client of KSI's HTTP and WebSocket API. Requests throw KsiError for an error that KSI answers, KsiUnreachableError for no answer. */
export class KsiClient {
  readonly #url: string;
  readonly #token: string;

  constructor({ url, token }: KsiClientOptions) {
    this.#url = url.replace(/\/+$/, '');
    this.#token = token;
  }

  /** Stores a task. Resolves once the broker has it. */
  spawn(request: SpawnRequest, options: Cancellable = {}): Promise<SpawnAccepted> {
    return this.#json<SpawnAccepted>('/spawn', {
      method: 'POST',
      body: JSON.stringify(request),
      headers: { 'content-type': 'application/json' },
      ...signalOf(options),
    });
  }

  task(id: string, options: Cancellable = {}): Promise<Task> {
    return this.#json<Task>(`/tasks/${encodeURIComponent(id)}`, signalOf(options));
  }

  /** A page of tasks, the newest first. */
  tasks(query: TasksQuery = {}, options: Cancellable = {}): Promise<TaskPage> {
    const search = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) if (value !== undefined) search.set(name, String(value));
    return this.#json<TaskPage>(`/tasks?${search.toString()}`, signalOf(options));
  }

  /** The workers that there are. */
  workers(options: Cancellable = {}): Promise<WorkerList> {
    return this.#json<WorkerList>('/workers', signalOf(options));
  }

  /** What has happened to a task so far. */
  async pastEvents(id: string, options: Cancellable = {}): Promise<EventEnvelope[]> {
    const events: EventEnvelope[] = [];
    let since: string | undefined;
    do {
      const search = `?limit=${PAGE}${since === undefined ? '' : `&since=${encodeURIComponent(since)}`}`;
      const page = await this.#json<{ events: EventEnvelope[]; cursor?: string }>(
        `/tasks/${encodeURIComponent(id)}/events${search}`,
        signalOf(options),
      );
      events.push(...page.events);
      since = page.cursor;
    } while (since !== undefined);
    return events;
  }

  /** A task's events, past and to come, to its outcome; a broken connection is resumed with no gap and no repeat. */
  async *taskEvents(id: string, { since, signal, onRetry }: FollowOptions = {}): AsyncGenerator<EventEnvelope> {
    let cursor = since;
    let connected = false;
    let ended = false;
    for (let broken = 0; ; broken++) {
      let received = false;
      try {
        const answer = await this.#request(`/tasks/${encodeURIComponent(id)}/events`, {
          headers: { accept: 'text/event-stream', ...(cursor === undefined ? {} : { 'last-event-id': cursor }) },
          ...signalOf({ signal }),
        });
        connected = true;
        if (answer.body === null) throw new KsiUnreachableError(this.#url, new Error('an answer without a body'));
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
        ended = (await this.task(id, { signal })).ended_at !== undefined;
      } catch (error) {
        signal?.throwIfAborted();
        if (!connected || (error instanceof KsiError && !isPassing(error))) throw error;
        if (!received && error instanceof Error) onRetry?.(error);
      }
      await pause(pauseBefore(broken), signal);
    }
  }

  /**
   * Events (and deltas, by a pattern below `ksi.live.`) as they happen, over a WebSocket that is resumed with no gap and no repeat.
   * @param subjects patterns; all events when it is left out.
   */
  events({
    subjects = [SUBJECT.eventsAll],
    since,
    signal,
    onRetry,
  }: FollowOptions & { readonly subjects?: readonly string[] } = {}): AsyncGenerator<SocketMessage> {
    return followSocket({ url: this.#url, token: this.#token, subjects, since, signal, onRetry });
  }

  async #json<T>(path: string, init: RequestInit): Promise<T> {
    const answer = await this.#request(path, init);
    try {
      return (await answer.json()) as T;
    } catch (error) {
      init.signal?.throwIfAborted();
      throw new KsiUnreachableError(this.#url, error); // Broken off within the answer, or not one of KSI's.
    }
  }

  async #request(path: string, init: RequestInit): Promise<Response> {
    let answer: Response;
    try {
      answer = await fetch(`${this.#url}${path}`, {
        ...init,
        headers: { ...(init.headers as Record<string, string> | undefined), authorization: `Bearer ${this.#token}` },
      });
    } catch (error) {
      init.signal?.throwIfAborted();
      throw new KsiUnreachableError(this.#url, error);
    }
    if (answer.ok) return answer;
    const problem = await answer.json().then(
      (body) => body as Problem,
      () => undefined,
    );
    const retryAfter = Number(answer.headers.get('retry-after'));
    throw new KsiError(answer.status, problem, Number.isFinite(retryAfter) && retryAfter > 0 ? retryAfter : undefined);
  }
}

const signalOf = ({ signal }: Cancellable): { signal?: AbortSignal } => (signal === undefined ? {} : { signal });
