/** The part of a message in Claude's output stream that KSI reads. Everything else passes through unchanged. */
interface TextBlock {
  readonly type: 'text';
  readonly text: string;
}

const isText = (block: unknown): block is TextBlock => {
  const { type, text } = (block ?? {}) as { type?: unknown; text?: unknown };
  return type === 'text' && typeof text === 'string';
};

/** The content blocks of an assistant message in the main conversation. Empty for other messages, including those of subagents. */
export function contentOfMessage(message: unknown): readonly unknown[] {
  const { type, parent_tool_use_id, message: inner } = (message ?? {}) as Record<string, unknown>;
  const content = (inner as { content?: unknown } | undefined)?.content;
  return type === 'assistant' && typeof parent_tool_use_id !== 'string' && Array.isArray(content) ? content : [];
}

/** The text that a complete message adds to the answer, or undefined when it has no text. It equals the sum of the deltas before it. */
export function textOfMessage(message: unknown): string | undefined {
  const texts = contentOfMessage(message).filter(isText);
  return texts.length === 0 ? undefined : texts.map(({ text }) => text).join('');
}
