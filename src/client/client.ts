import { randomUUID } from 'node:crypto';
import type { EventEnvelope } from '../../contracts/events.js';
import type { Approval, ApprovalAnswer, ApprovalList, ApprovalResolved } from '../../contracts/approvals.js';
import type { DeadLetter } from '../../contracts/dead.js';
import type {
  DeadPage,
  DeadQuery,
  DeadRetryAnswer,
  DeadRetryRequest,
  SpawnAccepted,
  Task,
  TaskPage,
  TasksQuery,
} from '../../contracts/http.js';
import { IDEMPOTENCY_HEADER } from '../../contracts/idempotency.js';
import type { TokenCreated, TokenList, TokenRequest } from '../../contracts/tokens.js';
import type { WorkerList } from '../../contracts/workers.js';
import type { SpawnRequest } from '../../contracts/spawn.js';
import { SUBJECT } from '../../contracts/names.js';
import { isEnded, statusOfEvent } from '../../contracts/states.js';
import type {
  ImportAnswer,
  Session,
  SessionExport,
  SessionPage,
  SessionsQuery,
  TranscriptQuery,
} from '../../contracts/sessions.js';
import type { UsageAnswer, UsageQuery } from '../../contracts/usage.js';
import { isPassing, pause, pauseBefore } from './backoff.js';
import { KsiError, KsiUnreachableError } from './errors.js';
import { Http, queryOf, signalOf, type KsiClientOptions } from './http.js';

import { repeated } from './repeat.js';
import { followSocket, type SocketMessage } from './socket.js';
import { readServerSentEvents } from './sse.js';

export type { KsiClientOptions };

interface Cancellable {
  readonly signal?: AbortSignal | undefined;
}

export interface FollowOptions extends Cancellable {
  /** Cursor of the last event seen: what came after it is given first. */
  readonly since?: string | undefined;
  /** Told of each attempt in vain to resume a broken connection; the next one follows by itself. */
  readonly onRetry?: ((error: Error) => void) | undefined;
}

export interface SpawnOptions extends Cancellable {
  /** 1 to 255 visible ASCII characters. Requests with the same one and the same body make one task, within 24 h. Default: a new one. */
  readonly idempotencyKey?: string | undefined;
  /** Told of each answer that was lost, before the request is repeated. */
  readonly onRetry?: ((error: Error) => void) | undefined;
}

/** Events of a page of `GET /tasks/:id/events`: asked for, as only then the answer has the cursor of the next one. */
const PAGE = 1_000;

/** A client of KSI's HTTP and WebSocket API. Requests throw KsiError for an error that KSI answers, KsiUnreachableError for no answer. */
export class KsiClient {
  readonly #http: Http;

  constructor(options: KsiClientOptions) {
    this.#http = new Http(options);
  }

  /**
   * Stores a task. Resolves once the broker has it. Every spawn has an idempotency key, so it makes one task however often it is sent: when
   * its answer is lost (a broken connection, 502, 503, 504) it is repeated, five times at the most, as `Retry-After` says. An address
   * where nobody listens is told at once.
   */
  spawn(request: SpawnRequest, options: SpawnOptions = {}): Promise<SpawnAccepted> {
    const headers = { [IDEMPOTENCY_HEADER]: options.idempotencyKey ?? randomUUID() };
    return repeated(() => this.#http.post<SpawnAccepted>('/spawn', request, options.signal, headers), options);
  }

  /** Cancels a task in any state. @returns it, cancelled. @throws {KsiError} `task_ended`: it has another outcome. */
  cancel(id: string, options: Cancellable = {}): Promise<Task> {
    return this.#http.post(pathOf(id, '/cancel'), undefined, options.signal);
  }

  /** Has Claude end its turn; the outcome follows. @throws {KsiError} `not_running` */
  interrupt(id: string, options: Cancellable = {}): Promise<Task> {
    return this.#http.post(pathOf(id, '/interrupt'), undefined, options.signal);
  }

  /** Says more to Claude while it works at a task. @throws {KsiError} `not_running` */
  input(id: string, text: string, options: Cancellable = {}): Promise<Task> {
    return this.#http.post(pathOf(id, '/input'), { text }, options.signal);
  }

  /** What Claude wants to be allowed now, those asked first first. */
  async approvals(options: Cancellable = {}): Promise<Approval[]> {
    return (await this.#http.get<ApprovalList>('/approvals', options.signal)).approvals;
  }

  /** Allows or refuses it. @throws {KsiError} `already_answered` */
  approve(id: string, answer: ApprovalAnswer, options: Cancellable = {}): Promise<ApprovalResolved> {
    return this.#http.post(`/approvals/${encodeURIComponent(id)}`, answer, options.signal);
  }

  /** Runs an ended task again, as a new one each time; one that has a dead letter is put back. @throws {KsiError} `not_ended`, `not_retryable` */
  retry(id: string, options: Cancellable = {}): Promise<SpawnAccepted> {
    return this.#http.post(pathOf(id, '/retry'), undefined, options.signal);
  }

  /** A page of tasks that were given up, the oldest first; `next_cursor` as the query's `cursor` gives the next one. */
  deadLetters(query: DeadQuery = {}, options: Cancellable = {}): Promise<DeadPage> {
    return this.#http.get(`/dead${queryOf(query)}`, options.signal);
  }

  /** One of them, with its command and history. */
  deadLetter(id: string, options: Cancellable = {}): Promise<DeadLetter> {
    return this.#http.get(deadPathOf(id), options.signal);
  }

  /** Puts one back as a new task: once, however often it is asked. */
  retryDeadLetter(id: string, options: Cancellable = {}): Promise<SpawnAccepted> {
    return this.#http.post(`${deadPathOf(id)}/retry`, undefined, options.signal);
  }

  /** Puts back all that match: `limit` of them (100) at the most, the oldest first. */
  retryDeadLetters(request: DeadRetryRequest = {}, options: Cancellable = {}): Promise<DeadRetryAnswer> {
    return this.#http.post('/dead/retry', request, options.signal);
  }

  /** Deletes one for good. */
  async deleteDeadLetter(id: string, options: Cancellable = {}): Promise<void> {
    await this.#http.delete(deadPathOf(id), options.signal);
  }

  /** Conversations, those with the newest tasks first. */
  sessions(query: SessionsQuery = {}, options: Cancellable = {}): Promise<SessionPage> {
    return this.#http.get(`/sessions${queryOf(query)}`, options.signal);
  }

  /** @param id its UUID or name. */
  session(id: string, options: Cancellable = {}): Promise<Session> {
    return this.#http.get(`/sessions/${encodeURIComponent(id)}`, options.signal);
  }

  /** What was said: lines of JSON, or Markdown. */
  async transcript(
    id: string,
    format: TranscriptQuery['format'] = 'jsonl',
    options: Cancellable = {},
  ): Promise<string> {
    const path = `/sessions/${encodeURIComponent(id)}/transcript${queryOf({ format })}`;
    return (await this.#http.request(path, signalOf(options.signal))).text();
  }

  exportSession(id: string, options: Cancellable = {}): Promise<SessionExport> {
    return this.#http.get(`/sessions/${encodeURIComponent(id)}/export`, options.signal);
  }

  /** @throws {KsiError} `session_exists` */
  importSession(session: SessionExport, options: Cancellable = {}): Promise<ImportAnswer> {
    return this.#http.post('/sessions/import', session, options.signal);
  }

  /** Tokens and US dollars, summed up. */
  usage(query: UsageQuery = {}, options: Cancellable = {}): Promise<UsageAnswer> {
    return this.#http.get(`/usage${queryOf(query)}`, options.signal);
  }

  /** Deletes an ended task for good. @throws {KsiError} `not_ended`: cancel it first. */
  async deleteTask(id: string, options: Cancellable = {}): Promise<void> {
    await this.#http.delete(pathOf(id), options.signal);
  }

  /** Deletes a session with its transcript, folders and tasks. @param id its UUID or name. @throws {KsiError} `session_not_found`, `not_ended` */
  async deleteSession(id: string, options: Cancellable = {}): Promise<void> {
    await this.#http.delete(`/sessions/${encodeURIComponent(id)}`, options.signal);
  }

  /** Deletes all of an owner's tasks and sessions, open ones too, and revokes its tokens. Scope `admin`. */
  async deleteOwner(owner: string, options: Cancellable = {}): Promise<void> {
    await this.#http.delete(`/owners/${encodeURIComponent(owner)}`, options.signal);
  }

  task(id: string, options: Cancellable = {}): Promise<Task> {
    return this.#http.get(pathOf(id), options.signal);
  }

  /** A page of tasks, the newest first. */
  tasks(query: TasksQuery = {}, options: Cancellable = {}): Promise<TaskPage> {
    return this.#http.get(`/tasks${queryOf(query)}`, options.signal);
  }

  /** Makes a token, which the answer holds and nothing else ever will. Scope `admin`, as for the next two. */
  createToken(request: TokenRequest, options: Cancellable = {}): Promise<TokenCreated> {
    return this.#http.post('/tokens', request, options.signal);
  }

  tokens(options: Cancellable = {}): Promise<TokenList> {
    return this.#http.get('/tokens', options.signal);
  }

  async revokeToken(id: string, options: Cancellable = {}): Promise<void> {
    await this.#http.delete(`/tokens/${encodeURIComponent(id)}`, options.signal);
  }

  /** The workers that there are. */
  workers(options: Cancellable = {}): Promise<WorkerList> {
    return this.#http.get('/workers', options.signal);
  }

  /** What has happened to a task so far. */
  async pastEvents(id: string, options: Cancellable = {}): Promise<EventEnvelope[]> {
    const events: EventEnvelope[] = [];
    let since: string | undefined;
    do {
      const page: EventPage = await this.#http.get(
        pathOf(id, `/events${queryOf({ limit: PAGE, since })}`),
        options.signal,
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
        const answer = await this.#http.request(pathOf(id, '/events'), {
          headers: { accept: 'text/event-stream', ...(cursor === undefined ? {} : { 'last-event-id': cursor }) },
          ...signalOf(signal),
        });
        connected = true;
        if (answer.body === null) throw new KsiUnreachableError(this.#http.url, new Error('an answer without a body'));
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
    const { url, token } = this.#http;
    return followSocket({ url, token, subjects, since, signal, onRetry });
  }
}

interface EventPage {
  readonly events: EventEnvelope[];
  readonly cursor?: string;
}

const pathOf = (id: string, below = ''): string => `/tasks/${encodeURIComponent(id)}${below}`;
const deadPathOf = (id: string): string => `/dead/${encodeURIComponent(id)}`;
