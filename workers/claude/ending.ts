import type { Mismatch } from '../../src/output-schema/validation.js';

/** A message of Claude's stream, as Claude wrote it. Unknown types are passed through. */
export interface ClaudeMessage {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** How a run of Claude went: one shape for success and failure. What it means is for outcome.ts to say. */
export interface ClaudeEnding {
  /** The last `result` message; absent when the run ended before there was one. */
  readonly result?: ClaudeMessage | undefined;
  /** It was ended, or crashed, when it was in another turn after that result, or had subagents at work. */
  readonly unfinished?: boolean | undefined;
  /** `error` of the last assistant message that stands for a failed request: `rate_limit`, `authentication_failed` … */
  readonly assistantError?: string | undefined;
  /** `apiKeySource` of the first message: `none` when Claude found no credentials. */
  readonly apiKeySource?: string | undefined;
  /** Status of a request that Claude was told not to repeat any more. */
  readonly refusedStatus?: number | undefined;
  /** When the usage limit that refused the last request is reset, in ms since 1970. */
  readonly limitResetsAt?: number | undefined;
  /** Somebody asked it to end its turn. */
  readonly interrupted?: boolean | undefined;
  /** Of a result that was to fit a schema: where its answer does not. */
  readonly mismatches?: readonly Mismatch[] | undefined;
  /** Why the answer could not be checked against its schema. */
  readonly unchecked?: string | undefined;
  /** Why it was stopped, if that was its own fault. */
  readonly stopped?: 'timeout' | 'idle' | 'memory' | 'output' | undefined;
  /** What the host had too little of for the run to begin. */
  readonly shortOf?: string | undefined;
  /** Why the process could not be started. */
  readonly spawnError?: { readonly code: string; readonly message: string; readonly path: string } | undefined;
  readonly exit?: { readonly code: number | null; readonly signal: NodeJS.Signals | null } | undefined;
  /** It was still there some seconds after its result and had to be killed. */
  readonly lingered?: boolean | undefined;
  /** What the SDK threw. */
  readonly failure?: string | undefined;
  /** Why the transcript could not be read or stored. */
  readonly transcriptError?: string | undefined;
  /** The ends of what it wrote, with secrets made unreadable. */
  readonly stderr: string;
  readonly stdout: string;
}
