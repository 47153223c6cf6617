import type { Operations } from '../wire/operation.js';
import { Output, InputRequest, Task, TaskPage, TaskParams, TasksQuery } from './task.js';
import { PageQuery } from '../wire/page.js';
import { LimitLifted, WorkerPage } from './workers.js';
import { QueuePage } from './queues.js';
import { WorkspacePage } from './workspace.js';
import { SpawnAccepted, SpawnQuery, SpawnRequest } from './spawn.js';

export const TASK_OPERATIONS = {
  spawn: {
    method: 'POST',
    path: '/spawn',
    tag: 'Tasks',
    summary: 'Run Claude',
    description:
      '202 once the broker has stored the task. With `?wait=SECONDS`, 200 and the finished task, or 202 when the time is up.',
    scope: 'spawn',
    query: SpawnQuery,
    body: SpawnRequest,
    answers: { 200: Task, 202: SpawnAccepted },
    location: '/tasks/:task_id',
    audit: { target: 'task_id' },
    repeatable: 'keyed',
  },
  tasks: {
    method: 'GET',
    path: '/tasks',
    tag: 'Tasks',
    summary: 'List tasks, newest first',
    description: 'Outputs are left out, unless `include=output` asks for them.',
    scope: 'read',
    query: TasksQuery,
    answers: { 200: TaskPage },
  },
  task: {
    method: 'GET',
    path: '/tasks/:id',
    tag: 'Tasks',
    summary: 'Get a task',
    scope: 'read',
    params: TaskParams,
    answers: { 200: Task },
  },
  task_output: {
    method: 'GET',
    path: '/tasks/:id/output',
    tag: 'Tasks',
    summary: 'Get the output of a task, whatever its size',
    scope: 'read',
    params: TaskParams,
    answers: { 200: Output },
  },
  cancel: {
    method: 'POST',
    path: '/tasks/:id/cancel',
    tag: 'Tasks',
    summary: 'Cancel a task',
    description:
      '200 and the cancelled task, whatever state it was in. Cancelling a cancelled task again answers 200. A task with another outcome answers 409.',
    scope: 'spawn',
    params: TaskParams,
    answers: { 200: Task },
    audit: { target: 'id' },
    repeatable: 'always',
  },
  interrupt: {
    method: 'POST',
    path: '/tasks/:id/interrupt',
    tag: 'Tasks',
    summary: 'Interrupt a running task',
    description: '202 once Claude is told to end its turn; the outcome follows. 409 if the task is not running.',
    scope: 'spawn',
    params: TaskParams,
    answers: { 202: Task },
    audit: { target: 'id' },
  },
  input: {
    method: 'POST',
    path: '/tasks/:id/input',
    tag: 'Tasks',
    summary: 'Say more to Claude while it works',
    description:
      '202 once Claude is told. Claude reads the text before its next step, or as another turn of the same task. 409 if the task is not running, or its last turn is over.',
    scope: 'spawn',
    params: TaskParams,
    body: InputRequest,
    answers: { 202: Task },
    audit: { target: 'id' },
  },
  retry: {
    method: 'POST',
    path: '/tasks/:id/retry',
    tag: 'Tasks',
    summary: 'Run an ended task again, as a new task',
    description:
      '202 as from POST /spawn. The new task continues the same session and names the old task in `retry_of`. If the old task has a dead letter, the letter is removed.',
    scope: 'spawn',
    params: TaskParams,
    answers: { 202: SpawnAccepted },
    location: '/tasks/:task_id',
    audit: { target: 'id' },
  },
  workers: {
    method: 'GET',
    path: '/workers',
    tag: 'System',
    summary: 'List the workers, as they report themselves',
    scope: 'read',
    query: PageQuery,
    answers: { 200: WorkerPage },
  },
  limit_lift: {
    method: 'POST',
    path: '/workers/lift-limit',
    tag: 'System',
    summary: 'Lift the usage limit that keeps workers from taking tasks',
    description:
      'For a limit whose reset time is wrong, or an account that was topped up. Tasks that already wait for the reset keep waiting: cancel or retry them.',
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
    summary: 'List the workspaces in which tasks write, or for which they wait',
    description:
      'A token that does not see all owners gets the workspaces of its own tasks, and those that keep its tasks waiting.',
    scope: 'read',
    query: PageQuery,
    answers: { 200: WorkspacePage },
  },
} as const satisfies Operations;
