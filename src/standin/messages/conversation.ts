/** What the stand-in understands of a Messages API request: who said what, and what the tools answered. */

export interface Conversation {
  /** What the user said, oldest first, without what Claude Code adds to it. */
  readonly prompts: readonly string[];
  /** The texts of the tool results that came after the last prompt. */
  readonly toolResults: readonly string[];
  readonly model: string;
  readonly stream: boolean;
  /** Set when a schema for the answer was sent, as Claude Code's side requests (titles, summaries) do. */
  readonly format: Readonly<Record<string, unknown>> | undefined;
  /** About a quarter of the request's characters. */
  readonly inputTokens: number;
}

/** Reads the body of a request; undefined when it isn't one. */
export function readConversation(body: unknown): Conversation | undefined {
  if (!isObject(body) || !Array.isArray(body['messages'])) return undefined;
  const prompts: string[] = [];
  let toolResults: string[] = [];
  for (const message of body['messages']) {
    if (!isObject(message) || message['role'] !== 'user') continue;
    const blocks = blocksOf(message['content']);
    toolResults.push(...blocks.filter((block) => block['type'] === 'tool_result').map(textOf));
    const text = blocks
      .filter((block) => block['type'] === 'text')
      .map((block) => userText(textOf(block)))
      .filter((part) => part !== '')
      .join('\n');
    if (text === '') continue;
    prompts.push(text);
    toolResults = [];
  }
  const config = body['output_config'];
  const format = isObject(config) && isObject(config['format']) ? config['format'] : undefined;
  return {
    prompts,
    toolResults,
    model: typeof body['model'] === 'string' ? body['model'] : 'stand-in',
    stream: body['stream'] === true,
    format,
    inputTokens: Math.ceil(JSON.stringify(body['messages']).length / 4),
  };
}

/** Claude Code puts reminders and notes of its own among the user's blocks: nobody said them. */
function userText(text: string): string {
  const own = text.replaceAll(/<system-reminder>[\s\S]*?<\/system-reminder>/g, '').trim();
  return own.startsWith('[Request interrupted') ? '' : own;
}

type Block = Readonly<Record<string, unknown>>;

function blocksOf(content: unknown): Block[] {
  if (typeof content === 'string') return [{ type: 'text', text: content }];
  return Array.isArray(content) ? content.filter(isObject) : [];
}

function textOf(block: Block): string {
  if (typeof block['text'] === 'string') return block['text'];
  return blocksOf(block['content']).map(textOf).join('\n');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
