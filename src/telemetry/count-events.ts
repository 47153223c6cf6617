import type { Usage } from '../../contracts/access/usage.js';
import { isEnded, statusOfEvent } from '../../contracts/tasks/states.js';
import type { Store } from '../store/start.js';
import type { Metrics } from './metrics.js';

/** Counts every event, and measures how long tasks took. */
export function countEvents({ hub, model }: Store, metrics: Metrics): void {
  hub.subscribe(({ type, data, timestamp }) => {
    metrics.events.inc({ type });
    if (data['usage'] !== undefined) metrics.took(String(data['owner']), data['usage'] as Usage);
    const status = statusOfEvent(type);
    if (status === undefined || !isEnded(status)) return;
    const row = typeof data['task_id'] === 'string' ? model.get(data['task_id']) : undefined;
    if (row !== undefined)
      metrics.durations.observe({ status }, (Date.parse(timestamp) - Date.parse(row.created_at)) / 1_000);
  });
}
