import { InvalidArgumentError } from 'commander';
import { APPROVAL_ID_PATTERN } from '../../contracts/tasks/approvals.js';
import { UUID_PATTERN } from '../../contracts/wire/names.js';

const UUID = new RegExp(UUID_PATTERN);
/** Shorter prefixes could be words. A cut id in a table ends with `…`. */
const PREFIX = /^[0-9a-f]{4}[0-9a-f-]*…?$/;

/** Stands for the newest of a list. */
export const LAST = 'last';

export const isTaskId = (text: string): boolean => UUID.test(text);

/** Whether the text may be the beginning of an id. */
export const isPrefix = (text: string): boolean => PREFIX.test(text) && !UUID.test(text);

/** The parser of an argument that is a task's id. Its error is plainer than the pattern that the API would report. */
export const taskId = idOf('a task, as `ksi tasks` lists them');

/** The same of a conversation. */
export const conversationId = idOf('a conversation, as `ksi conversations` lists them');

/** `Command` completes a prefix, and `last`, before it runs. */
function idOf(what: string): (text: string) => string {
  return (text) => {
    if (UUID.test(text) || isPrefix(text) || text === LAST) return text;
    throw new InvalidArgumentError(`It must be the id of ${what}, a prefix of at least 4 characters, or \`last\`.`);
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
