import type { EventEnvelope } from '../../../contracts/events/events.js';
import { oneLine } from './table.js';

/** An event on one line: time, type and summary. @param at the formatted time. */
export const eventLine = ({ type, data }: Pick<EventEnvelope, 'type' | 'data'>, at: string): string =>
  oneLine(`${at}  ${type.padEnd(18)}  ${summary(type, data)}`);

/** Formats the times of events: seconds since the first event, or with `utc` the time itself. */
export function eventTimes({ utc }: { readonly utc?: true }): (iso: string) => string {
  let first: number | undefined;
  return (iso) => {
    if (utc === true) return iso;
    first ??= Date.parse(iso);
    return `+${((Date.parse(iso) - first) / 1_000).toFixed(3)}s`.padEnd(9);
  };
}

function summary(type: string, data: Readonly<Record<string, unknown>>): string {
  switch (type) {
    case 'SPAWN_QUEUED':
      return `queue ${String(data['queue'])}, priority ${String(data['priority'])}: ${String(data['prompt_preview'])}`;
    case 'SPAWN_START':
      return `attempt ${String(data['attempt'])} on ${String(data['worker_id'])}`;
    case 'SPAWN_MESSAGE':
      return messageSummary(data['message']);
    case 'SPAWN_INPUT':
      return typeof data['text'] === 'string' ? data['text'] : '(the text was deleted)';
    case 'SPAWN_COMPLETE':
      return (data['output'] as { result?: string } | undefined)?.result ?? '';
    case 'APPROVAL_REQUESTED':
      return `${String(data['approval_id'])}: ${String(data['tool'])} ${JSON.stringify(data['input'] ?? {})}`;
    case 'APPROVAL_RESOLVED':
      return `${String(data['approval_id'])}: ${String(data['decision'])}`;
    case 'SPAWN_ERROR': {
      const { code, message } = data['error'] as { code: string; message: string };
      return `${code}: ${message}`;
    }
    default:
      return typeof data['reason'] === 'string' ? data['reason'] : '';
  }
}

function messageSummary(message: unknown): string {
  const {
    type,
    subtype,
    message: inner,
  } = (message ?? {}) as { type?: string; subtype?: string; message?: { content?: unknown } };
  const kind = [type, subtype].filter((part) => part !== undefined).join('/');
  const content = Array.isArray(inner?.content)
    ? (inner.content as { type?: string; text?: string; name?: string }[])
    : [];
  const parts = content.map((block) => block.text ?? block.name ?? block.type ?? '');
  return [kind, ...parts].join(' ');
}
