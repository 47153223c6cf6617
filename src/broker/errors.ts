import { errors } from '@nats-io/transport-node';
import { isTransientCode, type ApiErrorCode } from '../../contracts/wire/errors.js';

/**
 * Why the broker did not do what it was asked.
 * - `conflict`: compare-and-set refused it; somebody else was first (or an earlier try of ours: read to find out).
 * - `duplicate`: an atomic batch held a message id that is stored already.
 * - `full`: a stream is at its limit.
 * - `limit`: an owner has as many records of a kind as an owner may have.
 * - `unavailable`: no answer, or no connection. Whether it was stored is unknown.
 * - `unreadable`: what is stored does not match its schema.
 * - `refused`: anything else; `apiCode` says what.
 */
export type BrokerErrorKind = 'conflict' | 'duplicate' | 'full' | 'limit' | 'unavailable' | 'unreadable' | 'refused';

export class BrokerError extends Error {
  override readonly name = 'BrokerError';
  readonly kind: BrokerErrorKind;
  readonly apiCode: number | undefined;
  /** The subject of the write that failed. */
  readonly subject: string | undefined;
  constructor(
    kind: BrokerErrorKind,
    message: string,
    options: { apiCode?: number | undefined; cause?: unknown; subject?: string } = {},
  ) {
    super(options.subject === undefined ? message : `${message} (subject ${options.subject})`, {
      cause: options.cause,
    });
    this.kind = kind;
    this.apiCode = options.apiCode;
    this.subject = options.subject;
  }

  /** The same error, naming the subject of the write that it is about. */
  of(subject: string): BrokerError {
    return new BrokerError(this.kind, this.message, { apiCode: this.apiCode, cause: this.cause, subject });
  }
}

/** Error codes of the JetStream API (nats-server's errors.json) that mean something to us. */
const KINDS: Readonly<Record<number, BrokerErrorKind>> = {
  10071: 'conflict', // wrong last sequence
  10164: 'conflict', // the same, in a cluster, where it may mean only that another one is on its way
  10201: 'duplicate', // atomic batch contains a duplicate message id
  10077: 'full', // store failed: a limit of the stream
  10023: 'full', // insufficient resources
  10047: 'full', // insufficient storage
  10008: 'unavailable', // JetStream system temporarily unavailable
  10009: 'unavailable', // no leader: cluster not available
  10014: 'unavailable', // no such consumer: an API makes it again
  10059: 'unavailable', // no such stream: the same
  10158: 'unavailable', // a message of this id is on its way to be stored, in a cluster
  10163: 'unavailable', // a new leader can't check expected sequences yet
  10167: 'unavailable', // too many requests
  10210: 'unavailable', // too many batches under way
  10176: 'unavailable', // a part of the batch went to a leader that is none any more: nothing is stored
};
const SERVICE_UNAVAILABLE = 503;
/** A message exceeds what a stream takes; of our own: or what the server does. It is not stored, and won't be another time. */
export const TOO_LARGE = 10054;

/** An error as the JetStream API answers it. */
export interface ApiFault {
  readonly err_code?: number;
  /** In the manner of HTTP. */
  readonly code?: number;
  readonly description?: string;
}

/** @param what is refused. */
export function brokerErrorOf(fault: ApiFault, what = 'it', cause?: unknown): BrokerError {
  const { err_code: apiCode = 0, description = 'no description' } = fault;
  return new BrokerError(kindOf(fault), `The broker refused ${what}: ${description} (${apiCode})`, { apiCode, cause });
}

function kindOf({ err_code: apiCode = 0, code, description = '' }: ApiFault): BrokerErrorKind {
  const kind = KINDS[apiCode];
  // A server that is going down closes its stores first.
  if (kind === 'full' && description.includes('closed')) return 'unavailable';
  // Some have no code of their own, such as a leader that is none any more.
  return kind ?? (code === SERVICE_UNAVAILABLE ? 'unavailable' : 'refused');
}

/**
 * Whether a cluster refused only because something else on the filter, or of the same id, is on its way to be stored: asked again in a
 * moment, it says for good who was first.
 */
export const isUndecided = (error: BrokerError): boolean => error.apiCode === 10164 || error.apiCode === 10158;

export const isTooLarge = (error: unknown): error is BrokerError =>
  error instanceof BrokerError && error.apiCode === TOO_LARGE;

const OUT_OF_STORAGE: ReadonlySet<number | undefined> = new Set([10023, 10047]);

/** Whether the server, and not only one stream, has no room left. */
export const isOutOfStorage = (error: unknown): error is BrokerError =>
  error instanceof BrokerError && error.kind === 'full' && OUT_OF_STORAGE.has(error.apiCode);

export const isBrokerError = (error: unknown, kind?: BrokerErrorKind): error is BrokerError =>
  error instanceof BrokerError && (kind === undefined || error.kind === kind);

const CODES: Readonly<Record<BrokerErrorKind, ApiErrorCode>> = {
  conflict: 'conflict',
  duplicate: 'internal',
  full: 'queue_full',
  limit: 'too_many',
  unavailable: 'broker_unavailable',
  unreadable: 'record_unreadable',
  refused: 'internal',
};

/** The code that the table of errors has for a failure. */
export function codeOf(error: unknown): ApiErrorCode {
  if (isOutOfStorage(error)) return 'disk_full';
  if (isTooLarge(error)) return 'body_too_large';
  return isBrokerError(error) ? CODES[error.kind] : 'internal';
}

/** Whether the table of errors says that the failure passes, so that a loop may repeat the action without limit. */
export const isTransient = (error: unknown): boolean => isTransientCode(codeOf(error));

/** Whether the broker, or a stream's leader, was away. The NATS client has its own errors for that. */
export const isBrokerAway = (error: unknown): boolean =>
  isBrokerError(error, 'unavailable') ||
  error instanceof errors.TimeoutError ||
  error instanceof errors.NoRespondersError ||
  (error instanceof errors.RequestError && !(error.cause instanceof errors.PermissionViolationError));
