import type { TasksQuery } from '../../contracts/tasks/task.js';
import { metadataQuery } from '../../contracts/wire/metadata.js';
import { within } from '../lists/page.js';
import type { TaskFilter } from '../store/task-store.js';

type Filters = Omit<TasksQuery, 'limit' | 'cursor' | 'include' | 'session_id' | 'owner'>;

/** The read model's filter for a request, without `session_id`: the caller looks up the session's name. */
export const filterOf = (query: Filters, owner: string | undefined): TaskFilter => ({
  owner,
  status: query.status,
  queue: query.queue,
  spawnedBy: query.spawned_by,
  exchangeId: query.exchange_id,
  metadata: query.metadata === undefined ? undefined : metadataQuery(query.metadata),
  ...(query.created_after === undefined && query.created_before === undefined
    ? {}
    : { created: (time) => within(time, query.created_after, query.created_before) }),
  ...(query.ended_after === undefined && query.ended_before === undefined
    ? {}
    : { endedAt: (time) => within(time, query.ended_after, query.ended_before) }),
});
