import type { Attachment } from '../../../contracts/tasks/attachment.js';
import { attachmentsOf, findMentions } from '../mentions.js';

/** What was said, with the files that it speaks of. */
export interface Said {
  readonly prompt: string;
  readonly attachments: readonly Attachment[];
}

/** @returns why it cannot be sent, where one of its files cannot. */
export function readSaid(text: string, cwd: string): Said | string {
  const { text: prompt, mentions } = findMentions(text, cwd);
  try {
    return { prompt, attachments: attachmentsOf(mentions) };
  } catch (error) {
    return (error as Error).message;
  }
}
