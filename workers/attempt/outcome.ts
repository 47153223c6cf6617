import { TASK_ERRORS, type TaskErrorCode } from '../../contracts/wire/errors.js';
import type { TaskErrorBody } from '../../contracts/tasks/error-body.js';
import type { Usage } from '../../contracts/access/usage.js';
import { defined } from '../../src/defined.js';
import type { ClaudeEnding, ClaudeMessage } from '../claude/ending.js';

/** The result of an attempt that ran to its end. An attempt that was stopped from outside has none. */
export type Outcome =
  | { kind: 'completed'; output: ClaudeMessage; usage?: Usage | undefined }
  | {
      kind: 'failed';
      error: TaskErrorBody;
      output?: ClaudeMessage | undefined;
      usage?: Usage | undefined;
      /** The earliest time at which another attempt makes sense according to Claude, in ms since 1970. */
      retryAt?: number | undefined;
    };

/** Decides the outcome of a run of Claude. Pure: the tests are a table. */
export function outcomeOf(ending: ClaudeEnding): Outcome {
  const verdict = interruptedOr(verdictOf(ending), ending);
  if (verdict === undefined && ending.result !== undefined) return { kind: 'completed', output: ending.result };
  const { code, what } = verdict ?? { code: 'claude_bad_output' as const, what: 'It ended without a result.' };
  const retryAt = code === 'claude_rate_limited' ? ending.limitResetsAt : undefined;
  return { kind: 'failed', error: taskError(code, what, detailOf(ending)), output: ending.result, retryAt };
}

/** The pause after a rate limit without a reset time. Such limits are per minute, and half of that gives other requests room. */
const RATE_PAUSE_MS = 30_000;

/** When the usage limit that stopped this run is reset, in ms since 1970. Undefined: no limit stopped it. Pure. */
export function limitOf(
  outcome: Outcome,
  { limitResetsAt }: Pick<ClaudeEnding, 'limitResetsAt'>,
  now: number,
): number | undefined {
  if (outcome.kind === 'completed') return undefined;
  return limitResetsAt ?? (outcome.error.code === 'claude_rate_limited' ? now + RATE_PAUSE_MS : undefined);
}

/** The error of a task: what happened, why, and what to do next, in one text. */
export function taskError(code: TaskErrorCode, what: string, detail: Record<string, unknown> = {}): TaskErrorBody {
  const { title, next, retryable } = TASK_ERRORS[code];
  const message = [title, what].filter((part) => part !== '').join(': ');
  return {
    code,
    message: `${message.replace(/[.\s]*$/, '')}. ${next}`,
    retryable,
    ...(Object.keys(detail).length === 0 ? {} : { detail }),
  };
}

interface Verdict {
  code: TaskErrorCode;
  /** The specifics of this case. */
  what: string;
}

/** Any failure of an interrupted run is `claude_interrupted`, which is not retried. A success stays a success. */
const interruptedOr = (verdict: Verdict | undefined, { interrupted }: ClaudeEnding): Verdict | undefined =>
  verdict !== undefined && interrupted === true ? { code: 'claude_interrupted', what: '' } : verdict;

function verdictOf(ending: ClaudeEnding): Verdict | undefined {
  const { shortage, spawnError, transcriptError, refusedStatus, result, unfinished, stopped } = ending;
  if (shortage !== undefined) return { code: 'host_unable', what: `it is short of ${shortage}` };
  if (spawnError !== undefined) return { code: 'claude_not_found', what: `${spawnError.path}: ${spawnError.message}` };
  if (stopped !== undefined && (result === undefined || unfinished === true)) return STOPPED[stopped];
  // Before the result: an answer whose transcript is lost would leave its session with a gap.
  if (transcriptError !== undefined) return { code: 'transcript_failed', what: transcriptError };
  if (refusedStatus !== undefined) {
    return { code: codeOfStatus(refusedStatus), what: `it answered every try with ${refusedStatus}` };
  }
  if (result === undefined) return withoutResult(ending);
  return withResult(result, ending) ?? (unfinished === true ? UNFINISHED : mismatchOf(ending));
}

/** How many mismatches the message names. `detail` has all. */
const PLACES_NAMED = 5;

function mismatchOf({ mismatches = [], unchecked }: ClaudeEnding): Verdict | undefined {
  if (unchecked !== undefined) return { code: 'output_unchecked', what: unchecked };
  if (mismatches.length === 0) return undefined;
  const named = mismatches.slice(0, PLACES_NAMED).map(({ path, message }) => `${path} ${message}`.trim());
  return { code: 'output_mismatch', what: named.join('; ') };
}

/** Claude had a result, but it was cut off while it still worked. */
const UNFINISHED: Verdict = { code: 'claude_crashed', what: 'it ended while it was still at work' };

const STOPPED = {
  timeout: { code: 'claude_timeout', what: '' },
  idle: { code: 'claude_idle', what: '' },
  memory: { code: 'memory_limit', what: '' },
  output: { code: 'output_limit', what: '' },
} as const satisfies Record<string, Verdict>;

function withoutResult({ exit, failure, stdout }: ClaudeEnding): Verdict {
  if (exit !== undefined && exit.signal !== null)
    return { code: 'claude_crashed', what: `it was ended by the signal ${exit.signal}` };
  if (exit !== undefined && exit.code !== 0)
    return { code: 'claude_crashed', what: `it ended with the exit code ${exit.code}` };
  const why = failure === undefined ? 'it ended without a result' : `it ended without a result (${failure})`;
  return { code: 'claude_bad_output', what: stdout === '' ? `${why} and wrote nothing` : why };
}

const SUBTYPES: Readonly<Record<string, TaskErrorCode>> = {
  error_max_turns: 'claude_max_turns',
  error_max_budget_usd: 'claude_max_budget',
  error_max_structured_output_retries: 'output_mismatch',
};

/** `error` of Claude's synthetic assistant message, for failures that have no HTTP status. */
const ASSISTANT_ERRORS: Readonly<Record<string, TaskErrorCode>> = {
  authentication_failed: 'claude_auth_failed',
  oauth_org_not_allowed: 'claude_auth_failed',
  account_on_hold: 'claude_auth_failed',
  verification_required: 'claude_auth_failed',
  cloud_credential_error: 'claude_auth_failed',
  billing_error: 'claude_auth_failed',
  rate_limit: 'claude_rate_limited',
  overloaded: 'claude_overloaded',
  server_error: 'claude_overloaded',
  invalid_request: 'claude_invalid_request',
  model_not_found: 'claude_invalid_request',
};

/** `terminal_reason` of a result: why its loop ended, for failures that made no request. */
const TERMINAL_REASONS: Readonly<Record<string, TaskErrorCode>> = {
  max_turns: 'claude_max_turns',
  budget_exhausted: 'claude_max_budget',
  prompt_too_long: 'claude_invalid_request',
  // The context is full, and nothing may compact it.
  blocking_limit: 'claude_invalid_request',
  image_error: 'claude_invalid_request',
};

function withResult(result: ClaudeMessage, ending: ClaudeEnding): Verdict | undefined {
  const subtype = result['subtype'];
  if (typeof subtype !== 'string') return { code: 'claude_bad_output', what: 'its result has no subtype' };
  if (subtype !== 'success') {
    const errors = Array.isArray(result['errors']) ? result['errors'].map(String).join('; ') : '';
    return { code: SUBTYPES[subtype] ?? codeOfErrorResult(result, ending), what: errors === '' ? subtype : errors };
  }
  if (result['is_error'] !== true) {
    return typeof result['result'] === 'string'
      ? undefined
      : { code: 'claude_bad_output', what: 'its result holds no text' };
  }
  const what = typeof result['result'] === 'string' ? result['result'].slice(0, 500) : '';
  return { code: codeOfErrorResult(result, ending), what };
}

function codeOfErrorResult(result: ClaudeMessage, { apiKeySource, assistantError }: ClaudeEnding): TaskErrorCode {
  const status = result['api_error_status'];
  if (typeof status === 'number') return codeOfStatus(status);
  // Claude made no request at all.
  if (assistantError === 'authentication_failed' && (apiKeySource === 'none' || /not logged in/i.test(textOf(result))))
    return 'claude_no_credentials';
  return (
    ASSISTANT_ERRORS[assistantError ?? ''] ?? TERMINAL_REASONS[String(result['terminal_reason'])] ?? 'claude_error'
  );
}

const textOf = (result: ClaudeMessage): string => (typeof result['result'] === 'string' ? result['result'] : '');

function codeOfStatus(status: number): TaskErrorCode {
  if (status === 401 || status === 402 || status === 403) return 'claude_auth_failed';
  if (status === 429) return 'claude_rate_limited';
  // Timeouts and conflicts are not the request's fault.
  return status >= 500 || status === 408 || status === 409 ? 'claude_overloaded' : 'claude_invalid_request';
}

function detailOf(ending: ClaudeEnding): Record<string, unknown> {
  const { result, exit, spawnError, stderr, stdout, failure, lingered } = ending;
  const status = ending.refusedStatus ?? result?.['api_error_status'];
  return defined({
    stderr: stderr === '' ? undefined : stderr,
    // For a run with a result this would only repeat the events.
    stdout: result === undefined && stdout !== '' ? stdout : undefined,
    exit_code: exit?.code ?? undefined,
    signal: exit?.signal ?? undefined,
    spawn_code: spawnError?.code,
    api_error_status: typeof status === 'number' ? status : undefined,
    subtype: typeof result?.['subtype'] === 'string' ? result['subtype'] : undefined,
    mismatches: ending.mismatches?.length === 0 ? undefined : ending.mismatches,
    lingered: lingered === true ? true : undefined,
    failure: result === undefined ? failure : undefined,
    limit_resets_at: ending.limitResetsAt === undefined ? undefined : new Date(ending.limitResetsAt).toISOString(),
  });
}
