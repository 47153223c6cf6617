import type { ValueKind } from '../command.js';
import { clientOf } from '../client.js';
import type { ConnectionOptions } from '../connection.js';
import type { Candidate } from './complete.js';
import { whatRuns } from '../output/tools.js';

/** Completion is interactive, so it must not wait long. */
const TIMEOUT_MS = 1_500;
const MAX_VALUES = 50;

/** The cluster's values of a kind, newest first. Empty if the cluster does not answer in time. */
export async function knownValues(
  kind: Exclude<ValueKind, 'files'>,
  options: ConnectionOptions,
): Promise<readonly Candidate[]> {
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    await using client = clientOf(options);
    switch (kind) {
      case 'tasks':
      case 'open tasks': {
        const { items } = await client.tasks.list({ limit: MAX_VALUES }, { signal });
        return items
          .filter(({ ended_at: ended }) => kind === 'tasks' || ended === undefined)
          .map((task) => ({ value: task.task_id, description: `${task.status}: ${task.prompt_preview}` }));
      }
      case 'sessions': {
        const { items } = await client.sessions.list({ limit: MAX_VALUES }, { signal });
        return items.map(({ session_name: name, session_id: id, tasks }) => ({
          value: name ?? id,
          description: `${tasks} tasks`,
        }));
      }
      case 'queues': {
        const { items } = await client.queues.list({}, { signal });
        return items.map(({ queue, tasks }) => ({ value: queue, description: `${tasks} tasks` }));
      }
      case 'approvals': {
        const { items } = await client.approvals.list({}, { signal });
        return items.map(({ approval_id: id, tool, input }) => ({
          value: id,
          description: `${tool}: ${whatRuns(tool, input)}`,
        }));
      }
      case 'dead': {
        const { items } = await client.dead.list({ limit: MAX_VALUES }, { signal });
        return items.map(({ task_id: id, error }) => ({ value: id, description: error.code }));
      }
      case 'conversations': {
        const { items } = await client.conversations.list({ limit: MAX_VALUES }, { signal });
        return items.map(({ conversation_id: id, status, topic }) => ({
          value: id,
          description: `${status}: ${topic}`,
        }));
      }
      default:
        return kind satisfies never;
    }
  } catch {
    return []; // An error message would be inserted into the command line.
  }
}
