import { operations, type Statements } from '../wire/operation.js';
import { Output, InputRequest, Task, TaskPage, TaskParams, TaskQuery, TasksQuery } from './task.js';
import { PageQuery } from '../wire/page.js';
import { LimitLifted, WorkerPage } from './workers.js';
import { QueuePage } from './queues.js';
import { WorkspacePage } from './workspace.js';
import { SpawnAccepted, SpawnQuery, SpawnRequest } from './spawn.js';

export const TASK_OPERATIONS = operations('Tasks', {
  spawn: {
    method: 'POST',
    path: '/spawn',
    summary: 'Run Claude',
    description:
      '202 once the broker has stored the task. With `?wait=SECONDS`, 200 and the finished task, or 202 when the time is up.',
    scope: 'spawn',
    query: SpawnQuery,
    body: SpawnRequest,
    answers: { 200: Task, 202: SpawnAccepted },
    location: '/tasks/:task_id',
    rate_limited: true,
    audit: { target: 'task_id' },
    repeatable: 'keyed',
  },
  tasks: {
    method: 'GET',
    path: '/tasks',
    summary: 'List tasks, newest first',
    description: 'Outputs are left out unless you pass `include=output`.',
    scope: 'read',
    query: TasksQuery,
    answers: { 200: TaskPage },
  },
  task: {
    method: 'GET',
    path: '/tasks/:id',
    summary: 'Get a task',
    description: 'With `?wait=SECONDS`, waits for the outcome and answers with the task as it is when the time is up.',
    scope: 'read',
    params: TaskParams,
    query: TaskQuery,
    answers: { 200: Task },
  },
  task_output: {
    method: 'GET',
    path: '/tasks/:id/output',
    summary: 'Get the output of a task, whatever its size',
    scope: 'read',
    params: TaskParams,
    answers: { 200: Output },
  },
  cancel: {
    method: 'POST',
    path: '/tasks/:id/cancel',
    summary: 'Cancel a task',
    description:
      '200 with the cancelled task, whatever state it was in. Cancelling it again answers 200. A task with another outcome answers 409.',
    scope: 'spawn',
    params: TaskParams,
    answers: { 200: Task },
    audit: { target: 'id' },
    repeatable: 'always',
  },
  interrupt: {
    method: 'POST',
    path: '/tasks/:id/interrupt',
    summary: 'Interrupt a running task',
    description:
      '202 once Claude has got the request to end its turn. The outcome follows as an event. 409 if the task is not running.',
    scope: 'spawn',
    params: TaskParams,
    answers: { 202: Task },
    audit: { target: 'id' },
  },
  input: {
    method: 'POST',
    path: '/tasks/:id/input',
    summary: 'Send more input to a running task',
    description:
      '202 once Claude has got the text. Claude reads it before its next step, or as another turn of the same task. 409 if the task is not running or its last turn is over.',
    scope: 'spawn',
    params: TaskParams,
    body: InputRequest,
    answers: { 202: Task },
    audit: { target: 'id' },
    repeatable: 'keyed',
  },
  retry: {
    method: 'POST',
    path: '/tasks/:id/retry',
    summary: 'Run an ended task again, as a new task',
    description:
      'Answers 202 like POST /spawn. The new task continues the same session and names the old task in `retry_of`. If the old task has a dead letter, it is deleted.',
    scope: 'spawn',
    params: TaskParams,
    answers: { 202: SpawnAccepted },
    location: '/tasks/:task_id',
    audit: { target: 'id' },
    repeatable: 'keyed',
  },
  workers: {
    method: 'GET',
    path: '/workers',
    tag: 'System',
    summary: 'List the workers',
    scope: 'read',
    query: PageQuery,
    answers: { 200: WorkerPage },
  },
  limit_lift: {
    method: 'POST',
    path: '/workers/lift-limit',
    tag: 'System',
    summary: 'Lift the usage limit that stops workers from taking tasks',
    description:
      'Use this when the reset time is wrong or the account was topped up. Tasks that already wait for the reset keep waiting. Cancel or retry them.',
    scope: 'admin',
    answers: { 200: LimitLifted },
    audit: {},
    repeatable: 'always',
  },
  queues: {
    method: 'GET',
    path: '/queues',
    tag: 'System',
    summary: 'List the queues, with their tasks and workers',
    scope: 'read',
    query: PageQuery,
    answers: { 200: QueuePage },
  },
  workspaces: {
    method: 'GET',
    path: '/workspaces',
    tag: 'System',
    summary: 'List the workspaces that tasks write in, read or wait for',
    description: 'A token without access to all owners gets the workspaces that its own tasks use or wait for.',
    scope: 'read',
    query: PageQuery,
    answers: { 200: WorkspacePage },
  },
} as const satisfies Statements);
