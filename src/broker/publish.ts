import {
  createInbox,
  InvalidArgumentError,
  MsgHdrsImpl,
  type Msg,
  type MsgHdrs,
  type NatsConnection,
} from '@nats-io/transport-node';
import { uuidv7 } from '../uuid.js';
import { HEADER } from '../../contracts/wire/names.js';
import type { Clock } from '../clock.js';
import { parseJson } from '../json.js';
import { BrokerError, brokerErrorOf, isBrokerError, isUndecided, TOO_LARGE, type ApiFault } from './errors.js';

/** Compare-and-set: the last sequence on `filter` must be `seq` (0: nothing is stored). */
export interface Expectation {
  /** Must be byte-identical in all publications that exclude each other (docs/design/broker-protocol.md#one-filter). */
  filter: string;
  seq: number;
}

export interface Publication {
  subject: string;
  payload: Uint8Array | string;
  /** For the broker's deduplication, within 2 minutes. */
  msgId?: string | undefined;
  expect?: Expectation | undefined;
  headers?: Readonly<Record<string, string>> | undefined;
}

/** A publication that fails with `conflict` if another writer was first. */
export type ExpectingPublication = Publication & { readonly msgId: string; readonly expect: Expectation };

export interface PublishAck {
  stream: string;
  seq: number;
  /** The message id was already stored; `seq` is that message's. */
  duplicate: boolean;
}

/** The server's own limit is 1,000. */
export const MAX_BATCH = 500;
const DEFAULT_TIMEOUT_MS = 1_500;
const NO_RESPONDERS = 503;

/** Backoff of messages that a cluster cannot decide on yet: a concurrent write takes some ms, an election longer. */
const RESEND_MS = 4;
const MAX_RESEND_MS = 100;

interface Pending {
  /** Resolves with the parsed answer. @returns the error if the answer is one. */
  take: (answer: Msg) => BrokerError | undefined;
  reject: (error: BrokerError) => void;
  /** Cancels the timeout. */
  forgetTimeout: () => void;
  send: (reply: string) => void;
  /** The delay before the next resend. */
  resendMs: number;
  forgetResend?: () => void;
}

/**
 * Publishes to JetStream with one reply subscription for all acknowledgements (docs/design/facts.md#js-publish-client-bound).
 * Publications reach the broker in the order of the calls. A message that a cluster cannot decide on yet is sent again, so `conflict`
 * always means that another write was first.
 */
export class Publisher {
  readonly #nc: NatsConnection;
  readonly #clock: Clock;
  readonly #inbox: string;
  readonly #pending = new Map<string, Pending>();
  #next = 0;

  constructor(nc: NatsConnection, clock: Clock, inboxPrefix?: string) {
    this.#nc = nc;
    this.#clock = clock;
    this.#inbox = createInbox(inboxPrefix);
    nc.subscribe(`${this.#inbox}.*`, { callback: (error, msg) => this.#onReply(error, msg) });
  }

  /** Stores one message. @throws {BrokerError} */
  publish(publication: Publication, timeoutMs: number = DEFAULT_TIMEOUT_MS): Promise<PublishAck> {
    const headers = headersOf(publication);
    return this.#send(publication.subject, timeoutMs, parseAck, (reply) =>
      this.#nc.publish(
        publication.subject,
        publication.payload,
        headers === undefined ? { reply } : { reply, headers: headersFrom(headers) },
      ),
    );
  }

  /**
   * Calls the JetStream API, cheaply enough for many calls in a row: each of the client's own requests creates two errors with stack traces
   * in advance. @returns the answer, which may contain an `error`. @throws {BrokerError}
   */
  ask(verb: string, request: object, timeoutMs: number = DEFAULT_TIMEOUT_MS): Promise<ApiAnswer> {
    const subject = `$JS.API.${verb}`;
    const payload = JSON.stringify(request);
    return this.#send(subject, timeoutMs, parseAnswer, (reply) => this.#nc.publish(subject, payload, { reply }));
  }

  /**
   * Stores all messages or none, with one file sync: at most MAX_BATCH, all in one stream. Sequences are contiguous.
   * The headers are set by hand because nats.js 3.4 drops `expect` in batches and hides the server's error (docs/design/facts.md#batches-in-nats-js).
   * @returns the acknowledgement of the last message.
   * @throws {BrokerError} `conflict` if any message conflicts, `duplicate` if any message id is already stored.
   */
  publishBatch(publications: readonly Publication[], timeoutMs: number = DEFAULT_TIMEOUT_MS): Promise<PublishAck> {
    const [only] = publications;
    if (only === undefined || publications.length > MAX_BATCH)
      throw new RangeError(`a batch must have 1 to ${MAX_BATCH} messages, not ${publications.length}`);
    if (publications.length === 1) return this.publish(only, timeoutMs);
    return this.#send(only.subject, timeoutMs, parseAck, (reply) => {
      const batchId = uuidv7();
      publications.forEach((publication, index) => {
        const last = index === publications.length - 1;
        const headers = headersFrom({
          ...headersOf(publication),
          [HEADER.batchId]: batchId,
          [HEADER.batchSeq]: String(index + 1),
          ...(last ? { [HEADER.batchCommit]: '1' } : {}),
        });
        this.#nc.publish(publication.subject, publication.payload, last ? { headers, reply } : { headers });
      });
    });
  }

  /** Rejects all pending publications, whose acknowledgements are lost with the connection. */
  connectionLost(): void {
    this.#failAll(new BrokerError('unavailable', 'The connection to the broker was lost before the acknowledgement'));
  }

  stop(): void {
    this.#failAll(new BrokerError('unavailable', 'The connection to the broker is closing'));
  }

  #failAll(error: BrokerError): void {
    for (const [token, pending] of this.#pending) {
      this.#forget(token, pending);
      pending.reject(error);
    }
  }

  #forget(token: string, pending: Pending): void {
    this.#pending.delete(token);
    pending.forgetTimeout();
    pending.forgetResend?.();
  }

  #send<T extends object>(
    subject: string,
    timeoutMs: number,
    parse: (answer: Msg) => T | BrokerError,
    send: (reply: string) => void,
  ): Promise<T> {
    const token = (this.#next++).toString(36);
    return new Promise((resolve, rejectWith) => {
      const reject = (error: BrokerError): void => rejectWith(error.of(subject));
      const forgetTimeout = this.#clock.after(timeoutMs, () => {
        this.#forget(token, pending);
        reject(new BrokerError('unavailable', `The broker did not answer within ${timeoutMs} ms`));
      });
      const take = (answer: Msg): BrokerError | undefined => {
        const parsed = parse(answer);
        if (parsed instanceof BrokerError) return parsed;
        resolve(parsed);
        return undefined;
      };
      const pending: Pending = { take, reject, forgetTimeout, send, resendMs: RESEND_MS };
      this.#pending.set(token, pending);
      this.#sendNow(token, pending);
    });
  }

  #sendNow(token: string, pending: Pending): void {
    try {
      pending.send(`${this.#inbox}.${token}`);
    } catch (error) {
      this.#forget(token, pending);
      pending.reject(this.#notSent(error));
    }
  }

  /** The error of a failed send. If the message was part of a batch, the broker discards the earlier ones. */
  #notSent(cause: unknown): BrokerError {
    if (!(cause instanceof InvalidArgumentError))
      return new BrokerError('unavailable', 'The message could not be sent to the broker', { cause });
    const max = this.#nc.info?.max_payload ?? 0;
    return new BrokerError('refused', `The message is larger than the broker's max_payload of ${max} bytes`, {
      apiCode: TOO_LARGE,
      cause,
    });
  }

  #onReply(error: Error | null, msg: Msg): void {
    if (error !== null)
      return this.#failAll(new BrokerError('unavailable', 'The reply subscription failed', { cause: error }));
    const token = msg.subject.slice(this.#inbox.length + 1);
    const pending = this.#pending.get(token);
    if (pending === undefined) return;
    const fault = pending.take(msg);
    if (fault !== undefined && isUndecided(fault)) {
      pending.forgetResend = this.#clock.after(pending.resendMs, () => this.#sendNow(token, pending));
      pending.resendMs = Math.min(pending.resendMs * 2, MAX_RESEND_MS);
      return;
    }
    this.#forget(token, pending);
    if (fault !== undefined) pending.reject(fault);
  }
}

function headersOf({ msgId, expect, headers }: Publication): Readonly<Record<string, string>> | undefined {
  if (msgId === undefined && expect === undefined) return headers;
  return {
    ...headers,
    ...(msgId === undefined ? {} : { [HEADER.msgId]: msgId }),
    ...(expect === undefined ? {} : { [HEADER.expectSeq]: String(expect.seq), [HEADER.expectSubject]: expect.filter }),
  };
}

/** The client's `set` compares each name with all names before it. @throws {InvalidArgumentError} if a value could end its line */
function headersFrom(record: Readonly<Record<string, string>>): MsgHdrs {
  const headers = new MsgHdrsImpl();
  for (const [name, value] of Object.entries(record)) headers.headers.set(name, [MsgHdrsImpl.validHeaderValue(value)]);
  return headers;
}

/** An answer of the JetStream API. */
export interface ApiAnswer {
  readonly error?: ApiFault;
}

interface AckBody extends ApiAnswer {
  stream?: string;
  seq?: number;
  duplicate?: boolean;
}

function parseAnswer(msg: Msg): AckBody | BrokerError {
  if (msg.data.length > 0) return parseJson(msg.data) ?? {};
  return msg.headers?.code === NO_RESPONDERS
    ? new BrokerError('unavailable', 'The broker has no stream for this subject, or the stream has no leader')
    : new BrokerError('refused', 'The broker sent an empty answer');
}

function parseAck(msg: Msg): PublishAck | BrokerError {
  const body = parseAnswer(msg);
  if (body instanceof BrokerError) return body;
  if (body.error !== undefined) return brokerErrorOf(body.error);
  if (body.stream === undefined || body.seq === undefined)
    return new BrokerError('refused', 'The acknowledgement has no stream or no sequence');
  return { stream: body.stream, seq: body.seq, duplicate: body.duplicate === true };
}

/** Publishes once. @returns the message's sequence; undefined: another writer was first. @throws {BrokerError} */
export async function publishExpecting(
  { publisher }: { readonly publisher: Pick<Publisher, 'publish'> },
  publication: Publication,
): Promise<number | undefined> {
  try {
    return (await publisher.publish(publication)).seq;
  } catch (error) {
    if (!isBrokerError(error, 'conflict')) throw error;
    return undefined;
  }
}
