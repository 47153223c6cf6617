import type { RETENTION_OPERATIONS } from '../../contracts/retention/operations.js';
import type { Handlers } from '../access/handlers.js';
import type { RetentionService } from './start.js';

export const retentionHandlers = ({
  deleter,
  retention,
}: Pick<RetentionService, 'deleter' | 'retention'>): Handlers<typeof RETENTION_OPERATIONS> => ({
  task_delete: ({ id }, { principal }) => deleter.task(id, principal),
  tasks_delete: (query, { principal }) => deleter.matching(query, principal),
  session_delete: ({ id }, { principal }) => deleter.session(id, principal),
  owner_delete: ({ id }, { principal }) => deleter.owner(id, principal),
  retention: (_request, { principal }) => retention.show(principal),
  retention_set: (ages, { principal }) => retention.set(ages, principal),
  retention_preview: (query, { principal }) => retention.preview(query, principal),
  retention_run: (_request, { principal }) => retention.run(principal),
});
