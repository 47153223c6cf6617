import type { Mismatch } from '../../src/output-schema/validation.js';

/** A message of Claude's stream, as Claude wrote it. Unknown types are passed through. */
export interface ClaudeMessage {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** How a run of Claude ended: one shape for success and failure. outcome.ts derives the task's outcome from it. */
export interface ClaudeEnding {
  /** The last `result` message. Undefined: the run ended before a result. */
  readonly result?: ClaudeMessage | undefined;
  /** The run was ended or crashed after that result, in another turn or with subagents at work. */
  readonly unfinished?: boolean | undefined;
  /** `error` of the last assistant message that stands for a failed request: `rate_limit`, `authentication_failed` … */
  readonly assistantError?: string | undefined;
  /** `apiKeySource` of the first message: `none` when Claude found no credentials. */
  readonly apiKeySource?: string | undefined;
  /** The HTTP status of a request that Claude repeated too often. */
  readonly refusedStatus?: number | undefined;
  /** When the usage limit that refused the last request is reset, in ms since 1970. */
  readonly limitResetsAt?: number | undefined;
  /** A client interrupted the run. */
  readonly interrupted?: boolean | undefined;
  /** Where the answer does not match the task's schema. */
  readonly mismatches?: readonly Mismatch[] | undefined;
  /** Why the answer could not be checked against its schema. */
  readonly unchecked?: string | undefined;
  /** The limit that the run exceeded. */
  readonly stopped?: 'timeout' | 'idle' | 'memory' | 'output' | undefined;
  /** The resource shortage that prevented the run. */
  readonly shortage?: string | undefined;
  /** Why the process could not be started. */
  readonly spawnError?: { readonly code: string; readonly message: string; readonly path: string } | undefined;
  readonly exit?: { readonly code: number | null; readonly signal: NodeJS.Signals | null } | undefined;
  /** The process did not exit within seconds of its result and was killed. */
  readonly lingered?: boolean | undefined;
  /** The message of the SDK's error. */
  readonly failure?: string | undefined;
  /** Why the transcript could not be read or stored. */
  readonly transcriptError?: string | undefined;
  /** The ends of the process's output, with secrets redacted. */
  readonly stderr: string;
  readonly stdout: string;
}
