/** What KSI relies on of the messages of Claude's stream, which otherwise pass through it as they are. */
interface TextBlock {
  readonly type: 'text';
  readonly text: string;
}

const isText = (block: unknown): block is TextBlock => {
  const { type, text } = (block ?? {}) as { type?: unknown; text?: unknown };
  return type === 'text' && typeof text === 'string';
};

/** The content of a message of Claude itself in the main conversation (a subagent's is not): its blocks, else none. */
export function contentOfMessage(message: unknown): readonly unknown[] {
  const { type, parent_tool_use_id, message: inner } = (message ?? {}) as Record<string, unknown>;
  const content = (inner as { content?: unknown } | undefined)?.content;
  return type === 'assistant' && typeof parent_tool_use_id !== 'string' && Array.isArray(content) ? content : [];
}

/** The text that a complete message adds to the answer; undefined when it has none. The deltas before it add up to it. */
export function textOfMessage(message: unknown): string | undefined {
  const texts = contentOfMessage(message).filter(isText);
  return texts.length === 0 ? undefined : texts.map(({ text }) => text).join('');
}
