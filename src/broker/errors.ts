/**
 * Why the broker did not do what it was asked.
 * - `conflict`: compare-and-set refused it; somebody else was first (or an earlier try of ours: read to find out).
 * - `duplicate`: an atomic batch held a message id that is stored already.
 * - `full`: a stream is at its limit.
 * - `unavailable`: no answer, or no connection. Whether it was stored is unknown.
 * - `refused`: anything else; `apiCode` says what.
 */
export type BrokerErrorKind = 'conflict' | 'duplicate' | 'full' | 'unavailable' | 'refused';

export class BrokerError extends Error {
  override readonly name = 'BrokerError';
  readonly kind: BrokerErrorKind;
  readonly apiCode: number | undefined;
  constructor(kind: BrokerErrorKind, message: string, options: { apiCode?: number; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.kind = kind;
    this.apiCode = options.apiCode;
  }
}

/** Error codes of the JetStream API (nats-server's errors.json) that mean something to us. */
const KINDS: Readonly<Record<number, BrokerErrorKind>> = {
  10071: 'conflict', // wrong last sequence
  10164: 'conflict', // the same, in a cluster
  10201: 'duplicate', // atomic batch contains a duplicate message id
  10077: 'full', // store failed: a limit of the stream
  10023: 'full', // insufficient resources
  10047: 'full', // insufficient storage
  10008: 'unavailable', // JetStream system temporarily unavailable
  10009: 'unavailable', // no leader: cluster not available
};

export const brokerErrorOf = (code: number, description: string): BrokerError =>
  new BrokerError(KINDS[code] ?? 'refused', `The broker refused it: ${description} (${code})`, { apiCode: code });

export const isBrokerError = (error: unknown, kind?: BrokerErrorKind): error is BrokerError =>
  error instanceof BrokerError && (kind === undefined || error.kind === kind);
