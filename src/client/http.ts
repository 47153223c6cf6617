import type { EventEnvelope } from '../../contracts/events/events.js';
import type { Problem } from '../../contracts/wire/problem.js';
import { IDEMPOTENCY_HEADER, SUBJECT } from '../../contracts/wire/names.js';
import type { AnswerOf, OperationName, RequestOf } from '../../contracts/api/operations.js';
import { closed } from './closed.js';
import { KsiError, KsiUnreachableError } from './errors.js';
import type { EventMessage } from './event-message.js';
import { httpRequestOf, type Route } from './http-request.js';
import { linked } from './linked.js';
import { checkedRetries, checkedToken, checkedUrl } from './options.js';
import type { Platform } from './platform/platform.js';
import { DEFAULT_RETRIES, repeated } from './repeat.js';
import { ROUTES } from './routes.generated.js';
import { followSocket } from './socket.js';
import { followTask } from './task-events.js';
import type { EventsOptions, FollowOptions, KeyedOptions, Transport } from './transport.js';
import { defined } from '../defined.js';

export interface KsiClientOptions {
  /** The API's address, such as `http://127.0.0.1:8000`. */
  readonly url: string;
  /** A token of KSI. */
  readonly token: string;
  /** The maximum number of retries of a request that was refused for now (429) or whose answer was lost. Default: 5. */
  readonly retries?: number | undefined;
  /**
   * Also retry a request whose first connection is refused, as while an API restarts. By default such a request fails at once, because the address is
   * probably wrong. Default: false.
   */
  readonly retryRefused?: boolean | undefined;
}

/** Calls KSI's HTTP and WebSocket API. */
export class HttpTransport implements Transport {
  readonly url: string;
  readonly #token: string;
  readonly #retries: number;
  readonly #retryRefused: boolean;
  readonly #platform: Platform;
  readonly #closing = new AbortController();

  constructor({ url, token, retries = DEFAULT_RETRIES, retryRefused = false }: KsiClientOptions, platform: Platform) {
    this.url = checkedUrl(url);
    this.#token = checkedToken(token);
    this.#retries = checkedRetries(retries);
    this.#retryRefused = retryRefused;
    this.#platform = platform;
  }

  async call<N extends OperationName>(
    name: N,
    request: RequestOf<N>,
    options: KeyedOptions = {},
  ): Promise<AnswerOf<N>> {
    const route = ROUTES[name];
    const { signal, release } = linked(options.signal, this.#closing.signal);
    try {
      const send = (key: string | undefined): Promise<AnswerOf<N>> => this.#send(route, request, key, signal);
      const limits = { retries: this.#retries, retryRefused: this.#retryRefused };
      return await repeated(send, { route, request, options: { ...options, signal }, ...limits });
    } finally {
      release();
    }
  }

  async *taskEvents(
    id: string,
    { since, signal: callerSignal, onRetry }: FollowOptions = {},
  ): AsyncGenerator<EventEnvelope> {
    const { signal, release } = linked(callerSignal, this.#closing.signal);
    const { path } = httpRequestOf(ROUTES.task_events, { id });
    try {
      yield* followTask({
        url: this.url,
        open: (headers, signal) => this.#request(path, { headers, signal }),
        task: (signal) => this.call('task', { id }, { signal }),
        since,
        signal,
        onRetry,
      });
    } finally {
      release();
    }
  }

  async *events(options: EventsOptions = {}): AsyncGenerator<EventMessage> {
    const { subjects = [SUBJECT.eventsAll], since, onRetry } = options;
    const { signal, release } = linked(options.signal, this.#closing.signal);
    try {
      yield* followSocket({
        platform: this.#platform,
        url: this.url,
        token: this.#token,
        ticket: async () => (await this.call('ticket', {}, { signal })).ticket,
        subjects,
        since,
        signal,
        onRetry,
      });
      signal.throwIfAborted();
    } finally {
      release();
    }
  }

  async close(): Promise<void> {
    this.#closing.abort(closed());
    await this.#platform.close();
  }

  async #send<A>(route: Route, request: object, key: string | undefined, signal: AbortSignal): Promise<A> {
    const { method, path, body } = httpRequestOf(route, request);
    const headers = defined({
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      [IDEMPOTENCY_HEADER]: key,
    });
    const answer = await this.#request(path, defined({ method, headers, signal, body }));
    try {
      if (route.bytes === true) return (answer.body ?? new Blob([]).stream()) as A;
      if (route.text === true) return (await answer.text()) as A;
      if (answer.status !== 204) return (await answer.json()) as A;
      await answer.body?.cancel();
      return undefined as A;
    } catch (error) {
      signal.throwIfAborted();
      // The connection broke during the answer, or a proxy answered.
      throw new KsiUnreachableError(this.url, error);
    }
  }

  /** @throws {KsiError} @throws {KsiUnreachableError} @throws the signal's reason */
  async #request(
    path: string,
    init: Omit<RequestInit, 'headers'> & { readonly headers: Record<string, string>; readonly signal: AbortSignal },
  ): Promise<Response> {
    let answer: Response;
    try {
      init.signal.throwIfAborted();
      const headers = { ...init.headers, authorization: `Bearer ${this.#token}` };
      answer = await this.#platform.fetch(`${this.url}${path}`, { ...init, headers });
    } catch (error) {
      init.signal.throwIfAborted();
      throw new KsiUnreachableError(this.url, error);
    }
    if (answer.ok) return answer;
    const problem = await answer.json().then(
      (body) => body as Problem,
      () => undefined,
    );
    throw new KsiError(answer.status, problem, retryAfterOf(answer.headers));
  }
}

/** Reads `Retry-After`, in seconds. A proxy may send a date instead. */
function retryAfterOf(headers: Headers): number | undefined {
  const retryAfter = headers.get('retry-after');
  if (retryAfter === null) return undefined;
  // Compare the date with the proxy's own clock, not with this machine's.
  const seconds = /^\d+$/.test(retryAfter)
    ? Number(retryAfter)
    : Math.ceil((Date.parse(retryAfter) - Date.parse(headers.get('date') ?? '')) / 1_000);
  return seconds > 0 ? seconds : undefined;
}
