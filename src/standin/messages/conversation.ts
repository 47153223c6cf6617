import { isRecord } from '../../json.js';

/** The parts of a Messages API request that the stand-in uses. */
export interface Conversation {
  /** The user's texts, oldest first, without Claude Code's additions. */
  readonly prompts: readonly string[];
  /** The texts of the tool results after the last prompt. */
  readonly toolResults: readonly string[];
  readonly model: string;
  readonly stream: boolean;
  /** The schema for the answer. Claude Code's side requests (titles, summaries) have one. */
  readonly format: Readonly<Record<string, unknown>> | undefined;
  /** An estimate: a quarter of the request's characters. */
  readonly inputTokens: number;
}

/** Reads a request's body. @returns undefined if it is not a Messages API request */
export function readConversation(body: unknown): Conversation | undefined {
  if (!isRecord(body) || !Array.isArray(body['messages'])) return undefined;
  const prompts: string[] = [];
  let toolResults: string[] = [];
  for (const message of body['messages']) {
    if (!isRecord(message) || message['role'] !== 'user') continue;
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
  const format = isRecord(config) && isRecord(config['format']) ? config['format'] : undefined;
  return {
    prompts,
    toolResults,
    model: typeof body['model'] === 'string' ? body['model'] : 'stand-in',
    stream: body['stream'] === true,
    format,
    inputTokens: Math.ceil(JSON.stringify(body['messages']).length / 4),
  };
}

/** Removes the reminders and notes that Claude Code adds to the user's blocks. */
function userText(text: string): string {
  const own = text.replaceAll(/<system-reminder>[\s\S]*?<\/system-reminder>/g, '').trim();
  return own.startsWith('[Request interrupted') ? '' : own;
}

type Block = Readonly<Record<string, unknown>>;

function blocksOf(content: unknown): Block[] {
  if (typeof content === 'string') return [{ type: 'text', text: content }];
  return Array.isArray(content) ? content.filter(isRecord) : [];
}

function textOf(block: Block): string {
  if (typeof block['text'] === 'string') return block['text'];
  return blocksOf(block['content']).map(textOf).join('\n');
}
