import { API_ERRORS, TASK_ERRORS } from '../../contracts/wire/errors.js';
import { markdownTable } from './region.js';

export const apiErrorTable = (): string =>
  markdownTable(
    ['code', 'HTTP', 'again?', 'what happened', 'what to do'],
    Object.entries(API_ERRORS).map(([code, { status, title, next, ...entry }]) => [
      `\`${code}\``,
      String(status),
      'retryable' in entry ? 'may help' : 'no',
      title,
      next,
    ]),
  );

export const taskErrorTable = (): string =>
  markdownTable(
    ['code', 'again?', 'what happened', 'what to do'],
    Object.entries(TASK_ERRORS).map(([code, { retryable, title, next }]) => [
      `\`${code}\``,
      retryable ? 'may help' : 'no',
      title,
      next,
    ]),
  );
