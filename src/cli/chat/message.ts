import type { Attachment } from '../../../contracts/tasks/attachment.js';
import { attachmentsOf, findMentions } from '../mentions.js';

/** A prompt with its mentioned files. */
export interface ChatMessage {
  readonly prompt: string;
  readonly attachments: readonly Attachment[];
}

/** Reads the mentioned files. @returns an error text if a file cannot be attached. */
export function readMessages(text: string, cwd: string): ChatMessage | string {
  const { text: prompt, mentions } = findMentions(text, cwd);
  try {
    return { prompt, attachments: attachmentsOf(mentions) };
  } catch (error) {
    return (error as Error).message;
  }
}
