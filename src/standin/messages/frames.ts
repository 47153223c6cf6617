import { randomUUID } from 'node:crypto';
import type { Block } from './answer.js';

const ERROR_TYPES: Readonly<Record<number, string>> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  402: 'billing_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  500: 'api_error',
  529: 'overloaded_error',
};

export function errorBody(status: number, text = `KSI's stand-in was told to answer ${status}`): object {
  const type = ERROR_TYPES[status] ?? (status < 500 ? 'invalid_request_error' : 'api_error');
  return { type: 'error', error: { type, message: text }, request_id: `req_${randomUUID()}` };
}

export function wholeMessage(block: Block, model: string, inputTokens: number): object {
  return {
    ...opening(model, inputTokens),
    content: [block.type === 'text' ? block : { ...block, id: toolId() }],
    stop_reason: stopReason(block),
    usage: { input_tokens: inputTokens, output_tokens: outputTokens(block) },
  };
}

/** The events of a streamed message. */
export function* streamEvents(block: Block, model: string, inputTokens: number): Generator<StreamEvent> {
  yield { type: 'message_start', message: opening(model, inputTokens) };
  if (block.type === 'text') {
    yield { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } };
    for (const text of pieces(block.text)) yield delta({ type: 'text_delta', text });
  } else {
    const content_block = { type: 'tool_use', id: toolId(), name: block.name, input: {} };
    yield { type: 'content_block_start', index: 0, content_block };
    for (const json of pieces(JSON.stringify(block.input)))
      yield delta({ type: 'input_json_delta', partial_json: json });
  }
  yield { type: 'content_block_stop', index: 0 };
  yield {
    type: 'message_delta',
    delta: { stop_reason: stopReason(block), stop_sequence: null },
    usage: { output_tokens: outputTokens(block) },
  };
  yield { type: 'message_stop' };
}

export interface StreamEvent {
  readonly type: string;
  readonly [key: string]: unknown;
}

export function sse(event: StreamEvent): string {
  return `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}

function delta(of: object): StreamEvent {
  return { type: 'content_block_delta', index: 0, delta: of };
}

function opening(model: string, inputTokens: number): object {
  return {
    id: `msg_${randomUUID().replaceAll('-', '')}`,
    type: 'message',
    role: 'assistant',
    model,
    content: [],
    stop_reason: null,
    stop_sequence: null,
    usage: { input_tokens: inputTokens, output_tokens: 1 },
  };
}

function stopReason(block: Block): string {
  return block.type === 'tool_use' ? 'tool_use' : 'end_turn';
}

function toolId(): string {
  return `toolu_${randomUUID().replaceAll('-', '')}`;
}

function outputTokens(block: Block): number {
  return Math.ceil((block.type === 'text' ? block.text : JSON.stringify(block.input)).length / 4);
}

const PIECES = 6;
const PIECE_LIMIT = 4096;

/** Splits a text into about `PIECES` pieces, more if they would be large, and never within a surrogate pair. */
function* pieces(text: string): Generator<string> {
  const size = Math.min(PIECE_LIMIT, Math.max(1, Math.ceil(text.length / PIECES)));
  for (let at = 0; at < text.length;) {
    let end = at + size;
    if (/[\uD800-\uDBFF]/.test(text.charAt(end - 1))) end += 1;
    yield text.slice(at, end);
    at = end;
  }
}
