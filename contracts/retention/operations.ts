import { OwnerParams } from '../access/tokens.js';
import { SessionParams } from '../sessions/sessions.js';
import { TaskParams } from '../tasks/task.js';
import { NoContent, operations, type Statements } from '../wire/operation.js';
import { DeletionPending, TasksDeleted, TasksDeleteQuery } from './deletion.js';
import { RetentionSet, RetentionPreview, RetentionPreviewQuery, RetentionRun, RetentionView } from './retention.js';

/** 202 while files are left on hosts of workers. */
const DELETED = { 202: DeletionPending, 204: NoContent } as const;

export const RETENTION_OPERATIONS = operations('Retention', {
  task_delete: {
    method: 'DELETE',
    path: '/tasks/:id',
    tag: 'Tasks',
    summary: 'Delete an ended task',
    description:
      'Removes its events, prompt, answer and dead letter everywhere. If the session has no other task, the session is deleted too, with its transcript and working folder. Otherwise its transcript stays until the session itself is deleted.',
    scope: 'spawn',
    params: TaskParams,
    answers: DELETED,
    audit: { target: 'id' },
  },
  tasks_delete: {
    method: 'DELETE',
    path: '/tasks',
    tag: 'Tasks',
    summary: 'Delete the ended tasks that match, a page at a time',
    description:
      'Each task is deleted as by DELETE /tasks/:id. Open tasks stay. Repeat with `next_cursor` until there is none. At least one filter is required.',
    scope: 'spawn',
    query: TasksDeleteQuery,
    answers: { 200: TasksDeleted },
    audit: {},
  },
  session_delete: {
    method: 'DELETE',
    path: '/sessions/:id',
    tag: 'Sessions',
    summary: 'Delete a session, with its transcript, its working folders and all its tasks',
    scope: 'spawn',
    params: SessionParams,
    answers: DELETED,
    audit: { target: 'id' },
  },
  owner_delete: {
    method: 'DELETE',
    path: '/owners/:id',
    tag: 'Access',
    summary: "Delete all of an owner's tasks and sessions, and revoke the owner's tokens",
    description: 'Open tasks are cancelled. The audit stays.',
    scope: 'admin',
    params: OwnerParams,
    answers: DELETED,
    audit: { target: 'id' },
  },
  retention: {
    method: 'GET',
    path: '/retention',
    summary: 'Get how long tasks and sessions are kept',
    scope: 'read',
    answers: { 200: RetentionView },
    etag: true,
  },
  retention_set: {
    method: 'PUT',
    path: '/retention',
    summary: 'Set how long your own tasks and sessions are kept',
    description: "The shorter of these ages and the operator's applies. An empty object removes yours.",
    scope: 'spawn',
    body: RetentionSet,
    answers: { 200: RetentionView },
    etag: true,
    audit: {},
    repeatable: 'always',
  },
  retention_preview: {
    method: 'GET',
    path: '/retention/preview',
    summary: 'Dry run: list what would be deleted now',
    description:
      'By the ages that apply, or by those in the query. A token that sees all owners gets the tasks and sessions of all owners.',
    scope: 'read',
    query: RetentionPreviewQuery,
    answers: { 200: RetentionPreview },
  },
  retention_run: {
    method: 'POST',
    path: '/retention/run',
    summary: 'Delete now what exceeds the ages or sizes',
    description: 'Works with KSI_RETENTION=off too. Needs a token that sees all owners.',
    scope: 'admin',
    answers: { 200: RetentionRun },
    audit: {},
    repeatable: 'always',
  },
} as const satisfies Statements);
