import { InvalidArgumentError } from 'commander';
import { UUID_PATTERN } from '../../contracts/names.js';

const UUID = new RegExp(UUID_PATTERN);

export const isTaskId = (text: string): boolean => UUID.test(text);

/** The parser of an argument that is a task's id: what it is not is said here in words, and not by the API in a pattern. */
export function taskId(text: string): string {
  if (isTaskId(text)) return text;
  throw new InvalidArgumentError('It must be the whole id of a task, as `ksi tasks` lists them.');
}

/** Of one that may be given again. */
export const taskIds = (text: string, before: string[] = []): string[] => [...before, taskId(text)];
