import { parsePrompt, type Directives, type StatusDirective, type ToolCall } from './directives.js';
import type { Conversation } from './conversation.js';

/** How to answer a request. server.ts sends the answer. */
export type Answer =
  | { readonly kind: 'error'; readonly delayMs: number; readonly status: StatusDirective }
  | {
      readonly kind: 'message';
      readonly delayMs: number;
      readonly block: Block;
      readonly hang: Directives['hang'];
      readonly die: boolean;
    };

export type Block = { readonly type: 'text'; readonly text: string } | ({ readonly type: 'tool_use' } & ToolCall);

/**
 * Chooses the answer to a conversation. Pure.
 * @param failuresSoFar how often the `[[status:…]]` of this prompt was already sent
 */
export function chooseAnswer(conversation: Conversation, failuresSoFar: number): Answer {
  // A side request quotes the user's prompt, but the directives are for the main conversation.
  if (conversation.format !== undefined) {
    return message({ type: 'text', text: JSON.stringify(example(conversation.format['schema'])) }, { tools: [] });
  }
  const { directives, text } = parsePrompt(conversation.prompts.at(-1) ?? '');
  if (directives.status !== undefined && failuresSoFar < directives.status.times) {
    return { kind: 'error', delayMs: directives.delayMs ?? 0, status: directives.status };
  }
  const call = directives.tools[conversation.toolResults.length];
  if (call !== undefined) return message({ type: 'tool_use', ...call }, directives);
  return message({ type: 'text', text: finalText(conversation, directives, text) }, directives);
}

function message(block: Block, directives: Directives): Answer {
  return {
    kind: 'message',
    delayMs: directives.delayMs ?? 0,
    block,
    hang: directives.hang,
    die: directives.die ?? false,
  };
}

function finalText(conversation: Conversation, directives: Directives, text: string): string {
  if (directives.say !== undefined) return directives.say;
  if (directives.chars !== undefined) return '0123456789'.repeat(directives.chars / 10 + 1).slice(0, directives.chars);
  const earlier = conversation.prompts.slice(0, -1).map((prompt) => parsePrompt(prompt).text);
  if (/what did i say before/i.test(text)) {
    if (earlier.length === 0) return 'You have said nothing before.';
    return `You said before:\n${earlier.map((earlierPrompt, index) => `${index + 1}. ${earlierPrompt}`).join('\n')}`;
  }
  const parts = ["Hello! I am KSI's stand-in for the Messages API, not a model."];
  if (text !== '') parts.push(`You said: “${shorten(text)}”.`);
  if (conversation.toolResults.length > 0) {
    parts.push(`The tools answered: ${conversation.toolResults.map((result) => `“${shorten(result)}”`).join(', ')}.`);
  }
  if (earlier.length > 0) parts.push(`I know what you said before (${earlier.length}): ask me.`);
  return parts.join(' ');
}

function shorten(text: string): string {
  const flat = text.replaceAll(/\s+/g, ' ').trim();
  return flat.length <= 200 ? flat : `${flat.slice(0, 200)}…`;
}

const EXAMPLES: Readonly<Record<string, unknown>> = {
  string: 'KSI stand-in',
  number: 0,
  integer: 0,
  boolean: false,
  array: [],
  null: null,
};

/** A small value that matches a simple JSON schema. */
function example(schema: unknown): unknown {
  if (typeof schema !== 'object' || schema === null) return {};
  const { type, properties, enum: values } = schema as { type?: unknown; properties?: object; enum?: unknown[] };
  if (Array.isArray(values)) return values[0];
  if (typeof type === 'string' && type in EXAMPLES) return EXAMPLES[type];
  return Object.fromEntries(Object.entries(properties ?? {}).map(([key, value]) => [key, example(value)]));
}
