import { errors, headers, type Msg, type MsgHdrs } from '@nats-io/transport-node';
import type { EventEnvelope } from '../../../contracts/events/events.js';
import type { Problem } from '../../../contracts/wire/problem.js';
import { IDEMPOTENCY_HEADER, STREAM, SUBJECT } from '../../../contracts/wire/names.js';
import type { AnswerOf, OperationName, RequestOf } from '../../../contracts/api/operations.js';
import { onAbort } from '../../abort.js';
import { closed } from '../closed.js';
import { KsiError, KsiUnreachableError } from '../errors.js';
import { isEvent, type EventMessage } from '../event-message.js';
import { linked } from '../linked.js';
import { outcomeOf } from '../outcome.js';
import { DEFAULT_RETRIES, repeated } from '../repeat.js';
import type { Route } from '../http-request.js';
import { ROUTES } from '../routes.generated.js';
import type { EventsOptions, FollowOptions, KeyedOptions, Transport } from '../transport.js';
import { causesOf } from '../causes.js';
import { checkedRetries } from '../options.js';
import {
  checkedOptions,
  openConnection,
  type CheckedConnectionOptions,
  type Connected,
  type NatsConnectionOptions,
} from './connection.js';
import { followSubjects } from './follow.js';

export interface KsiNatsOptions extends NatsConnectionOptions {
  /** The maximum number of retries of a request that was refused for now (429) or whose answer was lost. Default: 5. */
  readonly retries?: number | undefined;
  /** Milliseconds to wait for an answer. The `wait` of a request is added. Default: 30,000. */
  readonly timeoutMs?: number | undefined;
}

const TIMEOUT_MS = 30_000;
const IDLE_MS = 1_000;
/** The cursor before the oldest stored event. */
const BEGINNING = '0';

/** Calls KSI's NATS service and reads its event stream. */
export class NatsTransport implements Transport {
  readonly url: string;
  readonly #connection: CheckedConnectionOptions;
  readonly #retries: number;
  readonly #timeoutMs: number;
  readonly #closing = new AbortController();
  #connected: Promise<Connected> | undefined;
  /** The number of calls and iterators that use the connection. */
  #users = 0;
  #idle: ReturnType<typeof setTimeout> | undefined;

  constructor(options: KsiNatsOptions) {
    this.#connection = checkedOptions(options);
    this.#retries = checkedRetries(options.retries ?? DEFAULT_RETRIES);
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    this.url = this.#connection.servers.join(',');
  }

  async call<N extends OperationName>(
    name: N,
    request: RequestOf<N>,
    options: KeyedOptions = {},
  ): Promise<AnswerOf<N>> {
    const route = ROUTES[name];
    const { signal, release } = linked(options.signal, this.#closing.signal);
    this.#use();
    try {
      const send = async (key: string | undefined): Promise<AnswerOf<N>> =>
        answerIn(route, await this.#request(name, request, key, signal)) as AnswerOf<N>;
      const limits = { retries: this.#retries, retryRefused: false };
      return await repeated(send, { route, request, options: { ...options, signal }, ...limits });
    } finally {
      this.#leave();
      release();
    }
  }

  async *taskEvents(id: string, options: FollowOptions = {}): AsyncGenerator<EventEnvelope> {
    this.#use();
    try {
      yield* this.#taskEvents(id, options);
    } finally {
      this.#leave();
    }
  }

  async *#taskEvents(id: string, options: FollowOptions): AsyncGenerator<EventEnvelope> {
    const subject = SUBJECT.taskAll(id);
    const task = await this.call('task', { id }, options);
    // An ended task has no events after the last stored one.
    const lastSeq = task.ended_at === undefined ? Infinity : await this.#lastSequence(subject);
    const since = options.since ?? BEGINNING;
    if (lastSeq <= Number(since.split('-').at(-1))) return;
    for await (const message of this.events({ ...options, subjects: [subject], since })) {
      if (!isEvent(message)) continue;
      yield message;
      if (outcomeOf(message) !== undefined || message.seq >= lastSeq) return;
    }
    throw closed();
  }

  async *events(options: EventsOptions = {}): AsyncGenerator<EventMessage> {
    const { subjects = [SUBJECT.eventsAll], since } = options;
    const { signal, release } = linked(options.signal, this.#closing.signal);
    this.#use();
    try {
      signal.throwIfAborted();
      yield* followSubjects(await this.#connect(), { subjects, since, signal });
      signal.throwIfAborted();
    } catch (error) {
      throw this.#toClientError(error, signal);
    } finally {
      this.#leave();
      release();
    }
  }

  async close(): Promise<void> {
    this.#closing.abort(closed());
    clearTimeout(this.#idle);
    const connected = await this.#connected?.catch(() => undefined); // The caller that connected got the error.
    await connected?.nc.close();
  }

  async #request(name: OperationName, request: object, key: string | undefined, signal: AbortSignal): Promise<Msg> {
    const { wait = 0 } = request as { readonly wait?: number };
    const done = new AbortController();
    try {
      signal.throwIfAborted();
      const { nc, link } = await this.#connect();
      const stopped = rejectionBy(signal, done.signal);
      await Promise.race([link.up, stopped, rejectionBy(AbortSignal.timeout(this.#timeoutMs), done.signal)]);
      const answer = nc.request(SUBJECT.apiVerb(name), JSON.stringify(request), {
        timeout: this.#timeoutMs + wait * 1_000,
        ...(key === undefined ? {} : { headers: headersWith(key) }),
      });
      return await Promise.race([answer, stopped, rejectionBy(link.lost, done.signal)]);
    } catch (error) {
      throw this.#toClientError(error, signal);
    } finally {
      done.abort();
    }
  }

  #connect(): Promise<Connected> {
    if (this.#closing.signal.aborted) return Promise.reject(closed());
    this.#connected ??= openConnection(this.#connection).catch((error: unknown) => {
      this.#connected = undefined;
      throw error;
    });
    return this.#connected;
  }

  #use(): void {
    this.#users++;
    clearTimeout(this.#idle);
  }

  /** Closes the connection soon after its last use, because an open connection keeps the process alive. */
  #leave(): void {
    this.#users--;
    if (this.#users > 0 || this.#closing.signal.aborted) return;
    this.#idle = setTimeout(() => {
      const connected = this.#connected;
      this.#connected = undefined;
      void connected?.then(({ nc }) => nc.close()).catch(() => undefined); // The caller that connected got the error.
    }, IDLE_MS);
  }

  async #lastSequence(subject: string): Promise<number> {
    const { jsm } = await this.#connect();
    const last = await jsm.streams.getMessage(STREAM.events, { last_by_subj: subject });
    return last?.seq ?? 0;
  }

  #toClientError(error: unknown, signal: AbortSignal): unknown {
    if (signal.aborted) return signal.reason;
    if (error instanceof KsiError) return error;
    const causes = [...causesOf(error)];
    const refusal = causes.find((cause) => cause instanceof errors.AuthorizationError);
    if (refusal !== undefined)
      return new KsiError(401, {
        type: 'urn:ksi:error:unauthorized',
        title: 'The broker refused the credentials',
        status: 401,
        code: 'unauthorized',
        detail: `${refusal.message}. Pass the seed of a user of this broker as credentials.`,
      });
    const forbidden = causes.find((cause) => cause instanceof errors.PermissionViolationError);
    if (forbidden !== undefined)
      return new KsiError(403, {
        type: 'urn:ksi:error:forbidden',
        title: 'The broker user lacks a permission',
        status: 403,
        code: 'forbidden',
        detail: `${forbidden.message}. Check inboxPrefix, and connect as the operator.`,
      });
    return new KsiUnreachableError(this.url, error);
  }
}

function headersWith(key: string): MsgHdrs {
  const all = headers();
  all.set(IDEMPOTENCY_HEADER, key);
  return all;
}

/** Rejects with the signal's reason when it aborts, until `done` aborts. */
const rejectionBy = (signal: AbortSignal, done: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => {
    const unsubscribe = onAbort(signal, () => reject(signal.reason as Error));
    done.addEventListener('abort', unsubscribe);
  });

/** Parses an answer. @throws {KsiError} if it is an error */
function answerIn({ text, bytes }: Route, message: Msg): unknown {
  const status = Number(message.headers?.get('Nats-Service-Error-Code') ?? 0);
  if (status === 0) {
    if (bytes === true) return new Blob([message.data.slice()]).stream();
    if (text === true) return message.string();
    return message.data.length === 0 ? undefined : message.json();
  }
  const retryAfter = Number(message.headers?.get('Retry-After') ?? 0);
  throw new KsiError(status, message.json<Problem>(), retryAfter > 0 ? retryAfter : undefined);
}
