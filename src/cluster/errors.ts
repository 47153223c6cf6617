import { explainSystemError } from '../process/system-error.js';

/** Why a cluster cannot be started, reached or changed. Scripts may rely on the code, but not on the message. */
export type ClusterErrorCode =
  | 'config_invalid'
  | 'no_nats_server'
  | 'nats_server_unusable'
  | 'broker_unusable'
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

/** An error's form on a pipe or socket. */
export interface SentError {
  readonly code: ClusterErrorCode;
  readonly message: string;
}

export const sentError = (error: unknown): SentError =>
  error instanceof ClusterError
    ? { code: error.code, message: error.message }
    : {
        code: 'internal',
        message: explainSystemError(error) ?? (error instanceof Error ? error.message : String(error)),
      };
