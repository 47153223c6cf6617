import { NoContent, operations, type Statements } from '../wire/operation.js';
import { DeadLetter, DeadPage, DeadQuery, DeadRetryAnswer, DeadRetryRequest } from './dead-letters.js';
import { SpawnAccepted } from './spawn.js';
import { TaskParams } from './task.js';

export const DEAD_LETTER_OPERATIONS = operations('Dead letters', {
  dead: {
    method: 'GET',
    path: '/dead',
    summary: 'List the tasks that were given up, oldest first',
    scope: 'read',
    query: DeadQuery,
    answers: { 200: DeadPage },
  },
  dead_letter: {
    method: 'GET',
    path: '/dead/:id',
    summary: 'Get a task that was given up, with its command and history',
    scope: 'read',
    params: TaskParams,
    answers: { 200: DeadLetter },
  },
  dead_retry: {
    method: 'POST',
    path: '/dead/:id/retry',
    summary: 'Retry a task that was given up, as a new task',
    description:
      'Answers 202 like POST /spawn. The new task names the old task in `retry_of`. The dead letter is deleted.',
    scope: 'spawn',
    params: TaskParams,
    answers: { 202: SpawnAccepted },
    location: '/tasks/:task_id',
    audit: { target: 'id' },
    repeatable: 'always',
  },
  dead_retry_all: {
    method: 'POST',
    path: '/dead/retry',
    summary: 'Retry all matching tasks that were given up',
    scope: 'spawn',
    body: DeadRetryRequest,
    answers: { 200: DeadRetryAnswer },
    audit: {},
    repeatable: 'keyed',
  },
  dead_delete: {
    method: 'DELETE',
    path: '/dead/:id',
    summary: 'Delete a dead letter',
    scope: 'spawn',
    params: TaskParams,
    answers: { 204: NoContent },
    audit: { target: 'id' },
  },
} as const satisfies Statements);
