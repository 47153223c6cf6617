import { isRecord } from '../../src/json.js';
import { BackgroundWork } from './background.js';
import type { ClaudeEnding, ClaudeMessage } from './ending.js';

/**
 * What the stream's reader does next. `over`: no more messages follow. `settled`: the background work has ended, and another turn follows if
 * Claude has something to say about it.
 */
export type Next = 'go_on' | 'over' | 'settled' | 'refused';

/** Claude retries a refused authentication for three minutes. This many tries are enough. */
const REFUSALS = 2;

/** Sorts the messages of Claude's stream into deltas, complete messages and the result, and collects facts about the run. */
export class StreamReader {
  readonly #onMessage: (message: ClaudeMessage) => void;
  readonly #onText: (text: string) => void;
  readonly #background = new BackgroundWork();
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
      // Only the last result is the outcome. The result of an earlier turn is an ordinary message.
      if (this.#result !== undefined) this.#onMessage(this.#result);
      this.#result = message;
      this.#inTurn = false;
      return this.#background.running ? 'go_on' : 'over';
    }
    this.#onMessage(message);
    if (this.#background.observe(message)) return this.between && !this.#background.running ? 'settled' : 'go_on';
    return this.#note(message);
  }

  /** Claude is between two turns. */
  get between(): boolean {
    return this.#result !== undefined && !this.#inTurn;
  }

  /** Claude has subagents at work in the background. */
  get working(): boolean {
    return this.#background.working;
  }

  /** Claude is in a turn, or has subagents at work. */
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
/** In seconds this is the year 5138, in milliseconds 1973. */
const EARLIEST_AS_MS = 1e11;

/** Undefined while requests are allowed. */
function resetOf(message: ClaudeMessage): number | undefined {
  const info = message['rate_limit_info'];
  // With paid overage, requests beyond the plan's limit succeed.
  if (!isRecord(info) || info['status'] !== 'rejected' || info['isUsingOverage'] === true) return undefined;
  // The Messages API reports seconds. A number this large can only be milliseconds.
  if (typeof info['resetsAt'] !== 'number') return undefined;
  const ms = info['resetsAt'] * (info['resetsAt'] < EARLIEST_AS_MS ? 1_000 : 1);
  // Larger values are not valid dates.
  return Math.abs(ms) <= LATEST_MS ? ms : undefined;
}

/** The text of a delta of the main conversation. '' for all other messages. */
function textOfDelta(message: ClaudeMessage): string {
  if (typeof message['parent_tool_use_id'] === 'string') return '';
  const { event } = message;
  const delta = isRecord(event) && event['type'] === 'content_block_delta' ? event['delta'] : undefined;
  if (!isRecord(delta) || delta['type'] !== 'text_delta') return '';
  return typeof delta['text'] === 'string' ? delta['text'] : '';
}
