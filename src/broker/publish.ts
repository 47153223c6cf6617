import {
  createInbox,
  headers as newHeaders,
  InvalidArgumentError,
  type Msg,
  type MsgHdrs,
  type NatsConnection,
} from '@nats-io/transport-node';
import { v7 as uuidv7 } from 'uuid';
import { HEADER } from '../../contracts/wire/names.js';
import type { Clock } from '../clock.js';
import { parseJson } from '../json.js';
import { BrokerError, brokerErrorOf, isBrokerError, isUndecided, TOO_LARGE, type ApiFault } from './errors.js';

/** Compare-and-set: the last sequence of everything stored below `filter` must be `seq` (0: nothing). */
export interface Expectation {
  /** Must be byte-identical in every publish that is to see the others (docs/design/broker-protocol.md#one-filter). */
  filter: string;
  seq: number;
}

export interface Publication {
  subject: string;
  payload: Uint8Array | string;
  /** For the broker's de-duplication (2 minutes). */
  msgId?: string | undefined;
  expect?: Expectation | undefined;
  headers?: Readonly<Record<string, string>> | undefined;
}

/** A publication that is refused as a `conflict` when another writer was first. */
export type ExpectingPublication = Publication & { readonly msgId: string; readonly expect: Expectation };

export interface PublishAck {
  stream: string;
  seq: number;
  /** The message id was stored before; `seq` is the earlier one's. */
  duplicate: boolean;
}

/** The server's own limit is 1,000. */
export const MAX_BATCH = 500;
const DEFAULT_TIMEOUT_MS = 1_500;
const NO_RESPONDERS = 503;

/** In a cluster: until what is on its way is stored, which takes some ms, or is given up, in an election. */
const ASK_AGAIN_MS = 4;
const ASK_AGAIN_MOST_MS = 100;

interface Pending {
  /** Resolves with what the answer says. @returns why it is none. */
  take: (answer: Msg) => BrokerError | undefined;
  reject: (error: BrokerError) => void;
  /** Calls off the end of the wait for the answer. */
  forgetTimeout: () => void;
  send: (reply: string) => void;
  /** How long to wait before it is sent again. */
  againMs: number;
  forgetAgain?: () => void;
}

/**
 * Publishes to JetStream with one reply subscription for all acknowledgements (docs/design/facts.md#js-publish-client-bound).
 * Publications of one Publisher reach the broker in the order of the calls; one that a cluster can't decide on yet is sent again, so that
 * `conflict` always means that somebody else was first.
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
        headers === undefined ? { reply } : { reply, headers },
      ),
    );
  }

  /**
   * Asks the JetStream API, where many requests follow each other: each of the client's own makes two errors, with their stacks, for the case
   * that it fails. @returns the answer, which may be an `error`. @throws {BrokerError}
   */
  ask(verb: string, request: object, timeoutMs: number = DEFAULT_TIMEOUT_MS): Promise<ApiAnswer> {
    const subject = `$JS.API.${verb}`;
    const payload = JSON.stringify(request);
    return this.#send(subject, timeoutMs, parseAnswer, (reply) => this.#nc.publish(subject, payload, { reply }));
  }

  /**
   * Stores all or none, in one synchronisation of the stream's file: for one stream, at most MAX_BATCH.
   * The answer is the last message's; the others precede it without a gap.
   * Headers by hand, since nats.js 3.4 drops `expect` in batches and hides the server's error (docs/design/facts.md#batches-in-nats-js).
   * @throws {BrokerError} `conflict` if a single one conflicts, `duplicate` if a single message id is stored already.
   */
  publishBatch(publications: readonly Publication[], timeoutMs: number = DEFAULT_TIMEOUT_MS): Promise<PublishAck> {
    const [only] = publications;
    if (only === undefined || publications.length > MAX_BATCH)
      throw new RangeError(`a batch has 1 to ${MAX_BATCH} messages`);
    if (publications.length === 1) return this.publish(only, timeoutMs);
    return this.#send(only.subject, timeoutMs, parseAck, (reply) => {
      const batchId = uuidv7();
      publications.forEach((publication, index) => {
        const last = index === publications.length - 1;
        const headers = headersOf(publication) ?? newHeaders();
        headers.set(HEADER.batchId, batchId);
        headers.set(HEADER.batchSeq, String(index + 1));
        if (last) headers.set(HEADER.batchCommit, '1');
        this.#nc.publish(publication.subject, publication.payload, last ? { headers, reply } : { headers });
      });
    });
  }

  /** Rejects what is under way: its acknowledgements can't come any more. Called when the connection is lost. */
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
    pending.forgetAgain?.();
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
      const pending: Pending = { take, reject, forgetTimeout, send, againMs: ASK_AGAIN_MS };
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

  /** Of a batch, what went before it is never committed. */
  #notSent(cause: unknown): BrokerError {
    if (!(cause instanceof InvalidArgumentError))
      return new BrokerError('unavailable', 'The message could not be sent to the broker', { cause });
    const most = this.#nc.info?.max_payload ?? 0;
    return new BrokerError('refused', `A message may have ${most} bytes, and this one has more`, {
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
      pending.forgetAgain = this.#clock.after(pending.againMs, () => this.#sendNow(token, pending));
      pending.againMs = Math.min(pending.againMs * 2, ASK_AGAIN_MOST_MS);
      return;
    }
    this.#forget(token, pending);
    if (fault !== undefined) pending.reject(fault);
  }
}

function headersOf(publication: Publication): MsgHdrs | undefined {
  const { msgId, expect, headers: extra } = publication;
  if (msgId === undefined && expect === undefined && extra === undefined) return undefined;
  const headers = newHeaders();
  if (extra !== undefined) for (const [name, value] of Object.entries(extra)) headers.set(name, value);
  if (msgId !== undefined) headers.set(HEADER.msgId, msgId);
  if (expect !== undefined) {
    headers.set(HEADER.expectSeq, String(expect.seq));
    headers.set(HEADER.expectSubject, expect.filter);
  }
  return headers;
}

/** What the JetStream API answers. */
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
    ? new BrokerError('unavailable', 'The broker has no stream that takes this, or no leader for it')
    : new BrokerError('refused', 'The broker sent an empty answer');
}

function parseAck(msg: Msg): PublishAck | BrokerError {
  const body = parseAnswer(msg);
  if (body instanceof BrokerError) return body;
  if (body.error !== undefined) return brokerErrorOf(body.error);
  if (body.stream === undefined || body.seq === undefined)
    return new BrokerError('refused', 'The acknowledgement is not understood');
  return { stream: body.stream, seq: body.seq, duplicate: body.duplicate === true };
}

/** @returns the message's sequence; undefined: another writer was first. @throws {BrokerError} */
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
