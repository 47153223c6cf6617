/**
 * The state machine of a task: its states, the event of each state, and the transitions.
 *
 *     scheduled ─▶ queued ─▶ running ⇄ retrying
 *                   ⇅ waiting ─▶ ┘└─▶ completed | failed | cancelled     (queued, waiting ─▶ cancelled | expired)
 */
export const TASK_STATUSES = [
  'scheduled',
  'queued',
  'waiting',
  'running',
  'retrying',
  'completed',
  'failed',
  'cancelled',
  'expired',
] as const;
export type TaskStatus = (typeof TASK_STATUSES)[number];

export interface TaskState {
  /** Last token of the state event's subject, `ksi.events.task.<task_id>.state.<token>`. */
  readonly token: string;
  /** The event's `type`. */
  readonly event: string;
  readonly to: readonly TaskStatus[];
}

export const TASK_STATES = {
  scheduled: { token: 'scheduled', event: 'SPAWN_SCHEDULED', to: ['queued', 'cancelled'] },
  queued: { token: 'queued', event: 'SPAWN_QUEUED', to: ['running', 'waiting', 'cancelled', 'expired'] },
  waiting: {
    token: 'waiting',
    event: 'SPAWN_WAITING',
    // A task may wait twice: for its session, then for its workspace.
    to: ['waiting', 'queued', 'running', 'cancelled', 'expired'],
  },
  running: { token: 'start', event: 'SPAWN_START', to: ['retrying', 'completed', 'failed', 'cancelled'] },
  retrying: { token: 'retry', event: 'SPAWN_RETRY', to: ['running', 'cancelled', 'failed'] },
  completed: { token: 'complete', event: 'SPAWN_COMPLETE', to: [] },
  failed: { token: 'error', event: 'SPAWN_ERROR', to: [] },
  cancelled: { token: 'cancelled', event: 'SPAWN_CANCELLED', to: [] },
  expired: { token: 'expired', event: 'SPAWN_EXPIRED', to: [] },
} as const satisfies Record<TaskStatus, TaskState>;

const byToken = new Map<string, TaskStatus>(TASK_STATUSES.map((status) => [TASK_STATES[status].token, status]));
const byEvent = new Map<string, TaskStatus>(TASK_STATUSES.map((status) => [TASK_STATES[status].event, status]));

/** The status of a task after a state event of type `type`, or undefined for other events. */
export const statusOfEvent = (type: string): TaskStatus | undefined => byEvent.get(type);

/** The status that the last token of a state subject names, or undefined for other subjects. */
export const statusOfSubject = (subject: string): TaskStatus | undefined =>
  byToken.get(subject.slice(subject.lastIndexOf('.') + 1));

/** The initial states of a new task. */
const FIRST: readonly TaskStatus[] = ['scheduled', 'queued'];

/** An ended task has exactly one outcome and never changes again. */
export const isEnded = (status: TaskStatus): boolean => TASK_STATES[status].to.length === 0;

/** @param from undefined: the task is new. */
export const mayFollow = (from: TaskStatus | undefined, to: TaskStatus): boolean =>
  (from === undefined ? FIRST : (TASK_STATES[from].to as readonly TaskStatus[])).includes(to);
