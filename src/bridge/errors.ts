import type { LegacyErrorCode } from '../../contracts/bridge/legacy.js';
import { isPassing } from '../client/backoff.js';
import { KsiError, KsiUnreachableError } from '../client/errors.js';

/** An error answer to a client of the old protocol. */
export class LegacyError extends Error {
  override readonly name = 'LegacyError';
  readonly code: LegacyErrorCode;

  constructor(code: LegacyErrorCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

/** The bridge cannot start or be reached. `message` says why, and what to do. */
export class BridgeError extends Error {
  override readonly name = 'BridgeError';
}

/** Whether another try may help: KSI is unreachable, overloaded or has an internal fault. */
export const isTransient = (error: unknown): boolean =>
  error instanceof KsiUnreachableError || (error instanceof KsiError && isPassing(error));

/** @returns undefined if KSI answers 404 */
export async function unlessMissing<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof KsiError && error.status === 404) return undefined;
    throw error;
  }
}

const OF_HTTP = /\b(?:GET|POST|PUT|PATCH|DELETE) \/|\/docs\b|`errors`|HTTP/;

/** A message of KSI for clients of the old protocol: without the sentences that tell callers of the HTTP API what to do. */
export function plainMessage(error: unknown): string {
  if (error instanceof KsiUnreachableError)
    return 'KSI does not answer. The command may still take effect. Run `ksi doctor`.';
  const text = error instanceof Error ? error.message : String(error);
  const kept = text.split(/(?<=[.;]) /).filter((sentence) => !OF_HTTP.test(sentence));
  return kept.length === 0 ? text : kept.join(' ').replace(/;$/, '.');
}
