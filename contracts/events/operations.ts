import { TaskParams } from '../tasks/task.js';
import { operations, type Statements } from '../wire/operation.js';
import { EventBody, EventBodyParams, EventPage, TaskEventsQuery } from './pages.js';

export const EVENT_OPERATIONS = operations('Events', {
  task_events: {
    method: 'GET',
    path: '/tasks/:id/events',
    summary: 'List or follow the events of a task',
    description:
      'As JSON, the events so far. With `Accept: text/event-stream`, live until the outcome; `Last-Event-ID` resumes. After the outcome, a stream that has no more events answers 204, so that an EventSource stops reconnecting.',
    scope: 'read',
    params: TaskParams,
    query: TaskEventsQuery,
    answers: { 200: EventPage },
    event_stream: true,
  },
  task_event_body: {
    method: 'GET',
    path: '/tasks/:id/events/:event_id/body',
    summary: 'Get the body of an event that has a `ref`',
    scope: 'read',
    params: EventBodyParams,
    answers: { 200: EventBody },
  },
} as const satisfies Statements);
