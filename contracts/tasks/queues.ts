import { Type, type Static } from 'typebox';
import { RUN_PRIORITIES, type RunPriority } from '../wire/names.js';
import { pageOf } from '../wire/page.js';

const count = (description: string) => Type.Integer({ minimum: 0, description });

/** A queue with its current counts: GET /queues. */
export const QueueView = Type.Object({
  queue: Type.String(),
  tasks: count('All tasks in the queue, including running ones.'),
  running: count('Tasks that a worker runs.'),
  ready: Type.Object(
    Object.fromEntries(
      RUN_PRIORITIES.map((runPriority) => [runPriority, count('Tasks that a worker may take at once.')]),
    ) as Record<RunPriority, ReturnType<typeof count>>,
    { description: 'By priority. `next`: tasks whose session has become free, or whose next attempt is due.' },
  ),
  waiting: count('Tasks that wait for their session, which is busy.'),
  parked: count('Tasks that wait for the time of their next attempt, or for their workspace.'),
  limit: count('Capacity of the queue (KSI_QUEUE_MAX). Above 90 % of it, new tasks are refused with 429.'),
  workers: Type.Array(Type.String(), { description: 'Ids of the workers that serve the queue and are not lost.' }),
});
export type QueueView = Static<typeof QueueView>;

/** By name. */
export const QueuePage = pageOf(QueueView, {});
export type QueuePage = Static<typeof QueuePage>;
