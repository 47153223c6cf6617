import { InvalidArgumentError } from 'commander';
import { APPROVAL_ID_PATTERN } from '../../contracts/tasks/approvals.js';
import { UUID_PATTERN } from '../../contracts/wire/names.js';

const UUID = new RegExp(UUID_PATTERN);

export const isTaskId = (text: string): boolean => UUID.test(text);

/** The parser of an argument that is a task's id. Its error is plainer than the pattern that the API would report. */
export const taskId = wholeId('a task, as `ksi tasks` lists them');

/** The same of a conversation. */
export const conversationId = wholeId('a conversation, as `ksi conversations` lists them');

function wholeId(what: string): (text: string) => string {
  return (text) => {
    if (UUID.test(text)) return text;
    throw new InvalidArgumentError(`It must be the whole id of ${what}.`);
  };
}

const APPROVAL_ID = new RegExp(APPROVAL_ID_PATTERN);

/** The parser of an argument that takes several ids of approvals. */
export function approvalIds(text: string, before: string[] = []): string[] {
  if (APPROVAL_ID.test(text)) return [...before, text];
  throw new InvalidArgumentError('It must be the whole id of an approval. `ksi approvals` lists those that wait.');
}

/** Of one that may be given again. */
export const taskIds = (text: string, before: string[] = []): string[] => [...before, taskId(text)];
