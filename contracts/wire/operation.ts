import { Type, type Static, type TObject, type TProperties, type TSchema } from 'typebox';
import type { Scope } from './choices.js';

/** The sections of the API's documentation. */
export const TAGS = {
  Tasks: 'Run Claude, watch and steer running tasks',
  Approvals: 'Answer what Claude asks to be allowed',
  'Dead letters': 'Inspect, retry and delete tasks that were given up',
  Sessions: 'Read, export and import what was said in a session',
  Agents: 'Named participants, their messages and inboxes',
  Conversations: 'Agents that talk by turns',
  'Shared state': 'JSON values under keys that agents share',
  Identities: 'How agents present themselves to people',
  Profiles: 'Templates for agents',
  Prompts: 'Compositions and components',
  Events: 'Over SSE and WebSocket',
  Retention: 'How long ended tasks and sessions are kept',
  Access: 'Tokens, tickets, and the deletion of an owner',
  System: 'Health, workers, queues',
} as const;

type Tag = keyof typeof TAGS;

interface Common {
  /** `:name` stands for a field of `params`. */
  readonly path: string;
  /** Only if it differs from the tag of its table. */
  readonly tag?: Tag;
  readonly summary: string;
  readonly description?: string;
  /** The scope that a token needs. An operation without one is open to everybody. */
  readonly scope?: Scope;
  /** The fields of the request, by where HTTP carries them. Over NATS they are one JSON object. */
  readonly params?: TObject;
  readonly query?: TObject;
  readonly body?: TObject;
  /** Successful answers, by their HTTP status. Where 204 stands beside another one, it is the answer without content. */
  readonly answers: { readonly [S in 200 | 201 | 202 | 204]?: TSchema };
  /** The `Location` header: a path in which `:name` stands for a field of the answer. */
  readonly location?: string;
  /** The answer holds a secret, so no cache may store it. */
  readonly no_store?: true;
  /** The answer's `revision` is its `ETag`, and `If-Match` and `If-None-Match` may carry the request's `revision`. */
  readonly etag?: true;
  /** The answer is text. Its media type, by the request's `format`; the first one is the default. */
  readonly text?: Readonly<Record<string, string>>;
  /** What such a text holds where its media type is JSON. Absent: any JSON. */
  readonly json_text?: TSchema;
  /** The answer is a stream of bytes of this media type. Over NATS it is one message. */
  readonly bytes?: string;
  /** With `Accept: text/event-stream`, the answer is a stream of server-sent events. */
  readonly event_stream?: true;
  /** The answer's headers say what is left of the token's rate limit. */
  readonly rate_limited?: true;
}

/** `target` names the field of the answer, or else of the request, with the id of the thing that was made or changed. */
type Audited = { readonly target?: string } | { readonly unaudited: string };

/**
 * When a client whose answer was lost may ask again, because doing it twice comes to the same as doing it once: always, with its idempotency
 * key, or with its `message_id`. Reads and deletions are always repeatable; a repeated deletion is answered 404.
 */
export type Repeatable = 'always' | 'keyed' | 'message_id';

interface Reading extends Common {
  readonly method: 'GET';
}
interface Deleting extends Common {
  readonly method: 'DELETE';
  readonly audit: Audited;
}
interface Changing extends Common {
  readonly method: 'POST' | 'PUT' | 'PATCH';
  readonly audit: Audited;
  readonly repeatable?: Repeatable;
}

/**
 * The one statement of an operation. The HTTP route, the NATS endpoint, the OpenAPI document, the audit entry and the client are derived from it.
 * It is `ksi.api.<name>` over NATS and the `operationId` of the OpenAPI document.
 */
type Statement = Reading | Deleting | Changing;
export type Statements = Readonly<Record<string, Statement>>;
export type Operation = Statement & { readonly tag: Tag };
export type Operations = Readonly<Record<string, Operation>>;

/** A table of operations in one section of the documentation. */
export const operations = <const T extends Statements>(
  tag: Tag,
  statements: T,
): { readonly [N in keyof T]: T[N] & { readonly tag: Tag } } =>
  Object.fromEntries(Object.entries(statements).map(([name, statement]) => [name, { tag, ...statement }])) as never;

type FieldsOf<O, Part extends 'params' | 'query' | 'body'> = O extends { readonly [P in Part]: infer S extends TSchema }
  ? Static<S>
  : unknown;
type Flat<T> = { [K in keyof T]: T[K] };

/** All fields of a request in one object. */
export type RequestIn<O> = Flat<FieldsOf<O, 'params'> & FieldsOf<O, 'query'> & FieldsOf<O, 'body'>>;

type Content<A> = { [S in Exclude<keyof A, 204>]: A[S] extends TSchema ? Static<A[S]> : never }[Exclude<keyof A, 204>];
type Answer<A> = 204 extends keyof A ? ([keyof A] extends [204] ? void : Content<A> | undefined) : Content<A>;
export type AnswerIn<O> = O extends { readonly answers: infer A } ? Answer<A> : never;

/** The schema of a request with all its fields in one object, as NATS carries it. */
export function requestSchema({ params, query, body }: Operation): TObject {
  const parts = [params, query, body].filter((part) => part !== undefined);
  const [only, more] = parts;
  if (only !== undefined && more === undefined) return only;
  const properties = Object.assign({}, ...parts.map((part) => part.properties)) as TProperties;
  return Type.Object(properties, { additionalProperties: false });
}

/** When a client may ask again without knowing what became of its request; undefined: never. */
export const repeatableOf = (operation: Operation): Repeatable | undefined =>
  operation.method === 'GET' || operation.method === 'DELETE' ? 'always' : operation.repeatable;

/** The answer of an operation with `bytes`. */
export const Bytes = Type.Unsafe<ReadableStream<Uint8Array>>({ type: 'string', format: 'binary' });

export const NoContent = Type.Null({ description: 'Done.' });
