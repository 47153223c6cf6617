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
    `${usage.input_tokens} input`,
    `${usage.output_tokens} output`,
    `${usage.cache_read_tokens} cache read`,
    `${usage.cache_write_tokens} cache written`,
  ];
  return `$${usage.cost_usd.toFixed(4)} for ${tasks} task${tasks === 1 ? '' : 's'}, ${usage.turns} turns; tokens: ${tokens.join(', ')}`;
}

const MAX_LINES = 6;

/** The last prompt of the session, and the beginning of Claude's answer. */
export function describeLast({ prompt_preview: prompt, status, output }: Task): string {
  const result = output?.['result'];
  const lines = typeof result === 'string' ? result.trim().split('\n') : [status];
  const cut =
    lines.length > MAX_LINES ? [...lines.slice(0, MAX_LINES), `… ${lines.length - MAX_LINES} more lines`] : lines;
  return [`last: ${oneLine(prompt)}`, ...cut].join('\n');
}
