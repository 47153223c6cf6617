import { isRecord } from '../../src/json.js';
import { Background } from './background.js';
import type { ClaudeEnding, ClaudeMessage } from './ending.js';

/**
 * What the one who reads the stream is to do next. `over`: nothing more is to come. `settled`: what ran in the background has ended; Claude
 * will have another turn for that, if it has anything to say to it.
 */
export type Next = 'go_on' | 'over' | 'settled' | 'refused';

/** Claude itself repeats a refused authentication for three minutes: so many tries are enough. */
const REFUSALS = 2;

/** Tells the messages of Claude's stream apart: deltas, complete messages, the result, and what they say about the run. */
export class StreamReader {
  readonly #onMessage: (message: ClaudeMessage) => void;
  readonly #onText: (text: string) => void;
  readonly #background = new Background();
  #result: ClaudeMessage | undefined;
  #inTurn = false;
  #assistantError: string | undefined;
  #apiKeySource: string | undefined;
  #refusedStatus: number | undefined;
  #limitResetsAt: number | undefined;
  mirrorError: string | undefined;

  constructor(onMessage: (message: ClaudeMessage) => void, onText: (text: string) => void) {
    this.#onMessage = onMessage;
    this.#onText = onText;
  }

  read(message: ClaudeMessage): Next {
    if (message.type === 'stream_event') {
      const text = textOfDelta(message);
      if (text !== '') this.#onText(text);
      return 'go_on';
    }
    if (message.type === 'result') {
      // Only the last one is the outcome; of an earlier turn it is a message like others.
      if (this.#result !== undefined) this.#onMessage(this.#result);
      this.#result = message;
      this.#inTurn = false;
      return this.#background.running ? 'go_on' : 'over';
    }
    this.#onMessage(message);
    if (this.#background.heard(message)) return this.between && !this.#background.running ? 'settled' : 'go_on';
    return this.#note(message);
  }

  /** It has ended a turn and not begun another one. */
  get between(): boolean {
    return this.#result !== undefined && !this.#inTurn;
  }

  /** It has subagents at work in the background. */
  get working(): boolean {
    return this.#background.working;
  }

  /** It is in a turn, or has subagents at work. */
  get unfinished(): boolean {
    return this.#inTurn || this.working;
  }

  summary(): Pick<ClaudeEnding, 'result' | 'assistantError' | 'apiKeySource' | 'refusedStatus' | 'limitResetsAt'> {
    return {
      result: this.#result,
      assistantError: this.#assistantError,
      apiKeySource: this.#apiKeySource,
      refusedStatus: this.#refusedStatus,
      limitResetsAt: this.#limitResetsAt,
    };
  }

  #note(message: ClaudeMessage): Next {
    if (message.type === 'assistant' && typeof message['error'] === 'string') this.#assistantError = message['error'];
    if (message.type === 'rate_limit_event') this.#limitResetsAt = resetOf(message);
    if (message.type !== 'system') return 'go_on';
    const { subtype, error, error_status: status, attempt, apiKeySource } = message;
    if (subtype === 'init') this.#inTurn = true;
    if (subtype === 'init' && typeof apiKeySource === 'string') this.#apiKeySource ??= apiKeySource;
    if (subtype === 'mirror_error') this.mirrorError ??= String(error);
    if (subtype === 'api_retry' && (status === 401 || status === 403) && Number(attempt) >= REFUSALS) {
      this.#refusedStatus = status;
      return 'refused';
    }
    return 'go_on';
  }
}

const LATEST_MS = 8.64e15;
/** As seconds the year 5138, as milliseconds 1973. */
const EARLIEST_AS_MS = 1e11;

/** Undefined while requests are allowed. */
function resetOf(message: ClaudeMessage): number | undefined {
  const info = message['rate_limit_info'];
  // Rejected by the plan, and paid for beyond it: work goes on.
  if (!isRecord(info) || info['status'] !== 'rejected' || info['isUsingOverage'] === true) return undefined;
  // In seconds, as the Messages API gives it. A number this large can only be milliseconds.
  if (typeof info['resetsAt'] !== 'number') return undefined;
  const ms = info['resetsAt'] * (info['resetsAt'] < EARLIEST_AS_MS ? 1_000 : 1);
  // Beyond it there are no dates.
  return Math.abs(ms) <= LATEST_MS ? ms : undefined;
}

/** The text that a delta of the main conversation adds; '' for all else. */
function textOfDelta(message: ClaudeMessage): string {
  if (typeof message['parent_tool_use_id'] === 'string') return '';
  const { event } = message;
  const delta = isRecord(event) && event['type'] === 'content_block_delta' ? event['delta'] : undefined;
  if (!isRecord(delta) || delta['type'] !== 'text_delta') return '';
  return typeof delta['text'] === 'string' ? delta['text'] : '';
}
