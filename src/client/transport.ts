import type { EventEnvelope } from '../../contracts/events/events.js';
import type { AnswerOf, OperationName, RequestOf } from '../../contracts/api/operations.js';
import type { EventMessage } from './event-message.js';

export interface CallOptions {
  /** Stops waiting for the answer. The method then throws the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Called before each retry, with the error of the failed try. */
  readonly onRetry?: ((error: Error) => void) | undefined;
}

export interface KeyedOptions extends CallOptions {
  /** 1 to 255 visible ASCII characters. Within 24 h, requests with the same key and body have one effect and the same answer. Default: a random key. */
  readonly idempotencyKey?: string | undefined;
}

export interface FollowOptions extends CallOptions {
  /** The cursor of the last event that you have seen. The events after it come first. */
  readonly since?: string | undefined;
}

export interface EventsOptions extends FollowOptions {
  /** Subject patterns that start with `ksi.events.` or, for deltas, `ksi.live.`. `*` matches one token, `>` all remaining ones. Default: all events. */
  readonly subjects?: readonly string[] | undefined;
}

/** The connection of a client to KSI, over HTTP or NATS. All resources use it. */
export interface Transport {
  /** The address of the API or broker. */
  readonly url: string;
  /** Calls an operation. @throws {KsiError} if KSI answers with an error. @throws {KsiUnreachableError} if it does not answer. @throws the signal's reason */
  call<N extends OperationName>(name: N, request: RequestOf<N>, options?: KeyedOptions): Promise<AnswerOf<N>>;
  /** Yields the past and future events of a task, up to its outcome. A broken connection is resumed with no missed or duplicate events. */
  taskEvents(id: string, options?: FollowOptions): AsyncGenerator<EventEnvelope>;
  /** Yields events and deltas as they happen, until `signal` aborts, and then throws the signal's reason. A broken connection is resumed with no missed or duplicate events; deltas can be missed. */
  events(options?: EventsOptions): AsyncGenerator<EventMessage>;
  /** Closes all connections and ends open requests and iterators. Idempotent. */
  close(): Promise<void>;
}
