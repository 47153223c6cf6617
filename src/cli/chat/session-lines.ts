import type { Session } from '../../../contracts/sessions/sessions.js';
import type { Task } from '../../../contracts/tasks/task.js';
import { oneLine } from '../output/table.js';
import { timesFor } from '../output/times.js';

/** `session notes (3 tasks, $0.02, 2h ago)` */
export function describeSession({ session_name: name, session_id: id, tasks, usage, updated_at: at }: Session): string {
  const facts = [`${tasks} task${tasks === 1 ? '' : 's'}`, `$${usage.cost_usd.toFixed(2)}`, timesFor({})(at)];
  return `session ${name ?? id} (${facts.join(', ')})`;
}

export function describeCost({ usage, tasks }: Session): string {
  const tokens = [
    `${usage.input_tokens} read`,
    `${usage.output_tokens} written`,
    `${usage.cache_read_tokens} from the cache`,
    `${usage.cache_write_tokens} into it`,
  ];
  return `$${usage.cost_usd.toFixed(4)} for ${tasks} task${tasks === 1 ? '' : 's'}, ${usage.turns} turns; tokens: ${tokens.join(', ')}`;
}

const MOST_LINES = 6;

/** Where the conversation was left: what was said last, and the beginning of what Claude said. */
export function describeLast({ prompt_preview: asked, status, output }: Task): string {
  const result = output?.['result'];
  const lines = typeof result === 'string' ? result.trim().split('\n') : [status];
  const cut =
    lines.length > MOST_LINES ? [...lines.slice(0, MOST_LINES), `… ${lines.length - MOST_LINES} more lines`] : lines;
  return [`last: ${oneLine(asked)}`, ...cut].join('\n');
}
