import { EVENT_DATA, type EventData, type EventType } from '../../contracts/events/events.js';
import type { Task } from '../../contracts/tasks/task.js';
import { DEFAULT_QUEUE } from '../../contracts/wire/names.js';
import type { SpawnCommand } from '../../contracts/tasks/spawn.js';
import { addUsage, NO_USAGE, type Usage } from '../../contracts/access/usage.js';
import { isEnded, statusOfEvent, type TaskStatus } from '../../contracts/tasks/states.js';
import { identityOf, type TaskIdentity } from '../broker/task-states.js';
import { pickFields } from '../pick-fields.js';
import { defined } from '../defined.js';

const QUEUED = EVENT_DATA.SPAWN_QUEUED.properties;

/** A task in the read model. */
export interface TaskRow extends Task {
  /** The sequence of the last applied state event; 0: only the command is known. */
  state_seq: number;
  /** The token that spawned the task, for its limit of open tasks. */
  token_id?: string;
  /** The workspace that the latest attempt reads and cannot write in. */
  reads_workspace?: string;
}

export interface StateEvent {
  readonly seq: number;
  readonly type: string;
  readonly timestamp: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** Applies a state event to a task's row. Duplicate and older events change nothing. */
export function applyEvent(row: TaskRow | undefined, event: StateEvent): TaskRow | undefined {
  const status = statusOfEvent(event.type);
  if (status === undefined || (row !== undefined && event.seq <= row.state_seq)) return row;
  if (row === undefined && ![event.data['task_id'], event.data['session_id'], event.data['owner']].every(isText))
    return row;
  const before = row ?? unknownTask(event);
  const { reason: _reason, ...kept } = before;
  const next: TaskRow = { ...kept, status, state_seq: event.seq };
  if (isEnded(status)) next.ended_at = event.timestamp;
  const apply = CHANGES[event.type as EventType] as ((row: TaskRow, event: StateEvent) => TaskRow) | undefined;
  return apply === undefined ? next : apply(next, event);
}

const isText = (value: unknown): boolean => typeof value === 'string';

type Change<T extends EventType> = (row: TaskRow, event: StateEvent & { data: EventData<T> }) => TaskRow;

/** How each state event changes the row, beside its status. */
const CHANGES: { [T in EventType]?: Change<T> } = {
  SPAWN_QUEUED: (row, { data, timestamp }) => ({ ...row, ...pickFields(data, QUEUED), created_at: timestamp }),
  SPAWN_WAITING: (row, { data }) => ({ ...row, reason: data.reason }),
  SPAWN_START: ({ reads_workspace: _before, ...row }, { data, timestamp }) => ({
    ...row,
    ...pickFields(data, { reads_workspace: true }),
    attempt: data.attempt,
    worker_id: data.worker_id,
    started_at: timestamp,
  }),
  SPAWN_RETRY: (row, { data }) => ({ ...row, ...used(row, data), ...servers(data), reason: data.reason }),
  SPAWN_COMPLETE: (row, { data }) => ({ ...row, ...used(row, data), ...servers(data), ...outputOf(data) }),
  SPAWN_ERROR: (row, { data }) => ({
    ...row,
    ...used(row, data),
    ...servers(data),
    error: data.error,
    ...outputOf(data),
  }),
  SPAWN_CANCELLED: (row, { data }) => ({ ...row, ...used(row, data), reason: data.reason }),
};

/** A large output has a reference. */
const outputOf = ({ output, ref }: EventData<'SPAWN_COMPLETE'>): Pick<Task, 'output' | 'output_ref'> =>
  defined({
    output,
    output_ref: ref,
  });

/** The usage of all attempts. */
const used = (row: TaskRow, { usage }: { usage?: Usage }): Pick<Task, 'usage'> =>
  usage === undefined ? {} : { usage: addUsage(row.usage ?? NO_USAGE, usage) };

const servers = ({ mcp_servers: states }: Pick<Task, 'mcp_servers'>): Pick<Task, 'mcp_servers'> =>
  states === undefined ? {} : { mcp_servers: states };

/** The row of a task whose SPAWN_QUEUED was lost with the API that accepted it. */
const unknownTask = ({ data, timestamp }: StateEvent): TaskRow => ({
  ...identityOf(data as unknown as TaskIdentity),
  status: 'queued',
  queue: DEFAULT_QUEUE,
  priority: 'normal',
  prompt_preview: '',
  created_at: timestamp,
  attempt: 0,
  state_seq: 0,
});

/** The data of a command's SPAWN_QUEUED. */
export const queuedData = (command: SpawnCommand): EventData<'SPAWN_QUEUED'> => ({
  ...pickFields(command, QUEUED),
  prompt_preview: previewOf(command.prompt),
});

/** The row of a task without events. */
export const acceptedRow = (command: SpawnCommand, status: TaskStatus): TaskRow => ({
  ...queuedData(command),
  status,
  created_at: command.accepted_at,
  attempt: 0,
  state_seq: 0,
});

const PREVIEW_CHARS = 200;

/** The first 200 characters of a prompt, without splitting a surrogate pair. */
export const previewOf = (prompt: string): string => {
  const cut = prompt.slice(0, PREVIEW_CHARS);
  return /[\uD800-\uDBFF]$/.test(cut) && prompt.length > PREVIEW_CHARS ? cut.slice(0, -1) : cut;
};

/** The task of a row, without the read model's own fields. */
export function taskOf(row: TaskRow): Task {
  const { state_seq: _seq, token_id: _token, reads_workspace: _workspace, ...task } = row;
  return task;
}
