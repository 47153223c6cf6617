import { errors } from '@nats-io/transport-node';
import { isTransientCode, type ApiErrorCode } from '../../contracts/wire/errors.js';

/**
 * Why a request to the broker failed.
 * - `conflict`: the compare-and-set lost, to another writer or to an earlier try of the same write. Read the subject to find out.
 * - `duplicate`: an atomic batch contained a message id that is already stored.
 * - `full`: a stream is at its limit.
 * - `limit`: the owner has reached the limit of records of this kind.
 * - `unavailable`: no answer, or no connection. It is unknown whether the message was stored.
 * - `unreadable`: a stored record does not match its schema.
 * - `refused`: any other reason; see `apiCode`.
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

  /** The same error, with the subject of the failed write. */
  of(subject: string): BrokerError {
    return new BrokerError(this.kind, this.message, { apiCode: this.apiCode, cause: this.cause, subject });
  }
}

/** The JetStream API's error codes (nats-server's errors.json) that KSI handles specially. */
const KINDS: Readonly<Record<number, BrokerErrorKind>> = {
  10071: 'conflict', // wrong last sequence
  10164: 'conflict', // the same in a cluster, where another write may only be in progress
  10201: 'duplicate', // atomic batch contains a duplicate message id
  10077: 'full', // store failed: a limit of the stream
  10023: 'full', // insufficient resources
  10047: 'full', // insufficient storage
  10008: 'unavailable', // JetStream system temporarily unavailable
  10009: 'unavailable', // no leader: cluster not available
  10014: 'unavailable', // no such consumer: an API re-creates it
  10059: 'unavailable', // no such stream: an API re-creates it
  10158: 'unavailable', // in a cluster: a message with this id is being stored
  10163: 'unavailable', // a new leader cannot check expected sequences yet
  10167: 'unavailable', // too many requests
  10210: 'unavailable', // too many batches in progress
  10176: 'unavailable', // the leader changed during the batch: nothing is stored
};
const SERVICE_UNAVAILABLE = 503;
/** The message is larger than the stream allows; KSI also uses it for the server's limit. It was not stored; retrying will not help. */
export const TOO_LARGE = 10054;

/** An error of the JetStream API. */
export interface ApiFault {
  readonly err_code?: number;
  /** An HTTP-like status. */
  readonly code?: number;
  readonly description?: string;
}

/** @param what names the refused request. */
export function brokerErrorOf(fault: ApiFault, what = 'it', cause?: unknown): BrokerError {
  const { err_code: apiCode = 0, description = 'no description' } = fault;
  return new BrokerError(kindOf(fault), `The broker refused ${what}: ${description} (${apiCode})`, { apiCode, cause });
}

function kindOf({ err_code: apiCode = 0, code, description = '' }: ApiFault): BrokerErrorKind {
  const kind = KINDS[apiCode];
  // A server that shuts down closes its stores first.
  if (kind === 'full' && description.includes('closed')) return 'unavailable';
  // Some errors have no code, such as that of a leader that has stepped down.
  return kind ?? (code === SERVICE_UNAVAILABLE ? 'unavailable' : 'refused');
}

/**
 * Whether a cluster refused a message only because another one on the filter, or with the same id, is being stored. A retry a moment
 * later is decided for good.
 */
export const isUndecided = (error: BrokerError): boolean => error.apiCode === 10164 || error.apiCode === 10158;

export const isTooLarge = (error: unknown): error is BrokerError =>
  error instanceof BrokerError && error.apiCode === TOO_LARGE;

const OUT_OF_STORAGE: ReadonlySet<number | undefined> = new Set([10023, 10047]);

/** Whether the whole server, not only one stream, is out of storage. */
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

/** Whether the broker or a stream's leader was unavailable. Includes the NATS client's own errors. */
export const isBrokerAway = (error: unknown): boolean =>
  isBrokerError(error, 'unavailable') ||
  error instanceof errors.TimeoutError ||
  error instanceof errors.NoRespondersError ||
  (error instanceof errors.RequestError && !(error.cause instanceof errors.PermissionViolationError));
