import type { LegacyErrorCode } from '../../contracts/bridge/legacy.js';

/** What a client of the old protocol is answered in place of a result. */
export class LegacyError extends Error {
  override readonly name = 'LegacyError';
  readonly code: LegacyErrorCode;

  constructor(code: LegacyErrorCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

/** The bridge can't start: `message` says why, and what to do. */
export class BridgeError extends Error {
  override readonly name = 'BridgeError';
}
