import { InvalidArgumentError } from 'commander';
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

/** Of one that may be given again. */
export const taskIds = (text: string, before: string[] = []): string[] => [...before, taskId(text)];
