import { BUCKET, STREAM } from '../../contracts/wire/names.js';

export interface TaskWrite {
  readonly stream: string;
  /** The task cannot go on without this write. Other writes never delay a task (optional-writes.ts). */
  readonly essential: boolean;
  readonly purpose: string;
}

/** Every stream that a task is written to from acceptance to release. docs/reliability.md has the same table. */
export const TASK_WRITES = {
  idempotency_key: { stream: `KV_${BUCKET.idempotency}`, essential: true, purpose: 'one task for each key' },
  session_name: { stream: `KV_${BUCKET.sessions}`, essential: true, purpose: 'one session for each name' },
  command_body: { stream: `OBJ_${BUCKET.privateBlobs}`, essential: true, purpose: 'a prompt too large for a message' },
  run: { stream: STREAM.commands, essential: true, purpose: 'the run, waiting entries, promotions' },
  workspace_place: { stream: `KV_${BUCKET.workspaces}`, essential: true, purpose: 'one writer in each workspace' },
  event: { stream: STREAM.events, essential: true, purpose: 'states, outputs and the outcome' },
  event_body: { stream: `OBJ_${BUCKET.blobs}`, essential: true, purpose: 'an output too large for a message' },
  transcript: { stream: STREAM.transcripts, essential: true, purpose: 'the session continues from it' },
  retry_schedule: { stream: STREAM.schedules, essential: true, purpose: 'wakes a run that waits long for a retry' },
  presence: { stream: `KV_${BUCKET.workers}`, essential: false, purpose: 'shows which worker runs the task' },
  dead_letter: { stream: STREAM.dead, essential: false, purpose: 'lists a task that was given up' },
  ended_command: { stream: STREAM.ended, essential: false, purpose: 'lets an ended task be run again' },
} as const satisfies Record<string, TaskWrite>;

type Writes = typeof TASK_WRITES;

/** Writes that may be deferred. */
export type OptionalWrite = {
  [Name in keyof Writes]: Writes[Name]['essential'] extends false ? Name : never;
}[keyof Writes];

/** Whether tasks need the stream. A stream that no task is written to counts as needed, except the audit log. */
export const isEssential = (stream: string): boolean =>
  stream !== STREAM.audit && Object.values(TASK_WRITES).every((write) => write.stream !== stream || write.essential);

const streamsOf = (...writes: (keyof Writes)[]): readonly string[] => writes.map((write) => TASK_WRITES[write].stream);

/** The streams in which a task needs room to end. KSI_COMMANDS has its own reserve (QueueCapacity). */
export const NEED_ROOM = streamsOf('event', 'event_body', 'transcript', 'command_body');

/** Buckets that some tasks need a record in to be accepted or to start. */
export const NEED_RECORDS = streamsOf('idempotency_key', 'session_name', 'workspace_place');
