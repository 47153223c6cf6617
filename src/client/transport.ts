import type { EventEnvelope } from '../../contracts/events/events.js';
import type { AnswerOf, OperationName, RequestOf } from '../../contracts/api/operations.js';
import type { EventMessage } from './event-message.js';

export interface CallOptions {
  /** Ends the wait for the answer, with its reason. */
  readonly signal?: AbortSignal | undefined;
  /** Told of each failure that is met by trying the same again, before that. */
  readonly onRetry?: ((error: Error) => void) | undefined;
}

export interface KeyedOptions extends CallOptions {
  /** 1 to 255 visible ASCII characters. Requests with the same one and the same body make one task, within 24 h. Default: a new one. */
  readonly idempotencyKey?: string | undefined;
}

export interface FollowOptions extends CallOptions {
  /** Cursor of the last event seen: what came after it is given first. */
  readonly since?: string | undefined;
}

export interface EventsOptions extends FollowOptions {
  /** Patterns below `ksi.events.` and `ksi.live.` (partial text); `*` stands for one token, `>` for the rest. Default: all events. */
  readonly subjects?: readonly string[] | undefined;
}

/** The way to a cluster, over HTTP or NATS: what the resources of a client are built on. */
export interface Transport {
  /** Where it goes. */
  readonly url: string;
  /** @throws {KsiError} an error that KSI answers. @throws {KsiUnreachableError} no answer. @throws the signal's reason. */
  call<N extends OperationName>(name: N, request: RequestOf<N>, options?: KeyedOptions): Promise<AnswerOf<N>>;
  /** A task's events, past and to come, to its outcome; a broken connection is resumed with no gap and no repeat. */
  taskEvents(id: string, options?: FollowOptions): AsyncGenerator<EventEnvelope>;
  /** Events and partial text as they come, until `signal` aborts; a broken connection is resumed with no gap and no repeat. */
  events(options?: EventsOptions): AsyncGenerator<EventMessage>;
  /** Ends all that is open. Idempotent. */
  close(): Promise<void>;
}
