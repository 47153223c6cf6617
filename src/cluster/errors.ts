/** Why the cluster can't be started, reached or changed. The code is the contract; the message says what happened and what to do. */
export type ClusterErrorCode =
  | 'config_invalid'
  | 'no_nats_server'
  | 'nats_server_unusable'
  | 'port_taken'
  | 'process_failed'
  | 'not_ready'
  | 'not_running'
  | 'not_answering'
  | 'path_too_long'
  | 'needs_restart'
  | 'other_broker'
  | 'interrupted'
  | 'internal';

export class ClusterError extends Error {
  override readonly name = 'ClusterError';
  readonly code: ClusterErrorCode;

  constructor(code: ClusterErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Any error as it is sent over a pipe or a socket. */
export interface SentError {
  readonly code: ClusterErrorCode;
  readonly message: string;
}

export const sentError = (error: unknown): SentError =>
  error instanceof ClusterError
    ? { code: error.code, message: error.message }
    : { code: 'internal', message: error instanceof Error ? error.message : String(error) };
