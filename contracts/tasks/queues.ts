import { Type, type Static } from 'typebox';
import { RUN_PRIORITIES, type RunPriority } from '../wire/names.js';
import { pageOf } from '../wire/page.js';

const count = (description: string) => Type.Integer({ minimum: 0, description });

/** A class of work, and what stands in it now: GET /queues. */
export const QueueView = Type.Object({
  queue: Type.String(),
  tasks: count('All that stand in it; those that run, too.'),
  running: count('With a worker.'),
  lanes: Type.Object(
    Object.fromEntries(
      RUN_PRIORITIES.map((runPriority) => [runPriority, count('Tasks that a worker may take at once.')]),
    ) as Record<RunPriority, ReturnType<typeof count>>,
    { description: 'By priority; `next`: whose session has become free, or whose next attempt is due.' },
  ),
  waiting: count('For their session, which is busy.'),
  parked: count('For the time of their next attempt, or for their workspace.'),
  limit: count('Beyond 90 % of it new tasks are refused with 429 (KSI_QUEUE_MAX).'),
  workers: Type.Array(Type.String(), { description: 'Those that serve it and are not lost, by their ids.' }),
});
export type QueueView = Static<typeof QueueView>;

/** By name. */
export const QueuePage = pageOf(QueueView, {});
export type QueuePage = Static<typeof QueuePage>;
