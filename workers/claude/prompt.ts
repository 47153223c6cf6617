import type { SDKUserMessage } from '@anthropic-ai/claude-agent-sdk';
import { IMAGE_TYPES, PDF_TYPE, type Attachment } from '../../contracts/tasks/attachment.js';

/** The content of a user message: text, or blocks of the Messages API. */
export type PromptContent = SDKUserMessage['message']['content'];
type Block = Exclude<PromptContent, string>[number];

/** The prompt's content: first the attachments, then the text. */
export function promptContent(prompt: string, attachments: readonly Attachment[] = []): PromptContent {
  if (attachments.length === 0) return prompt;
  return [...attachments.flatMap(blocksOf), { type: 'text', text: prompt }];
}

function blocksOf({ name, media_type, data }: Attachment): Block[] {
  const image = IMAGE_TYPES.find((type) => type === media_type);
  if (image !== undefined)
    return [
      { type: 'text', text: `${name}:` },
      { type: 'image', source: { type: 'base64', media_type: image, data } },
    ];
  if (media_type === PDF_TYPE)
    return [{ type: 'document', title: name, source: { type: 'base64', media_type: PDF_TYPE, data } }];
  const text = Buffer.from(data, 'base64').toString();
  return [{ type: 'document', title: name, source: { type: 'text', media_type: 'text/plain', data: text } }];
}
