import type { ValueKind } from '../command.js';
import { clientOf } from '../client.js';
import type { ConnectionOptions } from '../connection.js';
import type { Candidate } from './complete.js';

/** A person waits, with a finger on the key. */
const LONGEST_MS = 1_500;
const MOST = 50;

/** What the cluster knows of a kind, the newest first; nothing when it doesn't say so at once. */
export async function knownValues(
  kind: Exclude<ValueKind, 'files'>,
  options: ConnectionOptions,
): Promise<readonly Candidate[]> {
  try {
    const signal = AbortSignal.timeout(LONGEST_MS);
    await using client = clientOf(options);
    switch (kind) {
      case 'tasks':
      case 'open tasks': {
        const { tasks } = await client.tasks.list({ limit: MOST }, { signal });
        return tasks
          .filter(({ ended_at: ended }) => kind === 'tasks' || ended === undefined)
          .map((task) => ({ value: task.task_id, description: `${task.status}: ${task.prompt_preview}` }));
      }
      case 'sessions': {
        const { sessions } = await client.sessions.list({ limit: MOST }, { signal });
        return sessions.map(({ session_name: name, session_id: id, tasks }) => ({
          value: name ?? id,
          description: `${tasks} tasks`,
        }));
      }
      case 'queues': {
        const { queues } = await client.queues.list({ signal });
        return queues.map(({ queue, tasks }) => ({ value: queue, description: `${tasks} tasks` }));
      }
      case 'approvals': {
        const { approvals } = await client.approvals.list({ signal });
        return approvals.map(({ approval_id: id, tool, title }) => ({
          value: id,
          description: `${tool}: ${title ?? ''}`,
        }));
      }
      case 'dead': {
        const { letters } = await client.dead.list({ limit: MOST }, { signal });
        return letters.map(({ task_id: id, error }) => ({ value: id, description: error.code }));
      }
      case 'conversations': {
        const { conversations } = await client.conversations.list({ limit: MOST }, { signal });
        return conversations.map(({ conversation_id: id, status, topic }) => ({
          value: id,
          description: `${status}: ${topic}`,
        }));
      }
      default:
        return kind satisfies never;
    }
  } catch {
    return []; // To complete nothing is all that can be done: a message would be written into the line.
  }
}
