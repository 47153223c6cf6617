import type { EventData, StoredEvent } from '../../contracts/events/events.js';

/** What happened in a run: what the clients saw, what is stored, and what was done to the cluster. All times in ms since 1970. */
export interface History {
  readonly posts: readonly Post[];
  readonly cancels: readonly Cancel[];
  /** All that KSI_EVENTS holds in the end, in its order. */
  readonly stored: readonly StoredRow[];
  readonly readers: readonly Reader[];
  readonly faults: readonly Fault[];
  readonly leftovers: readonly Leftover[];
  /** Subjects that KSI_COMMANDS still holds in the end. */
  readonly commandsLeft: readonly string[];
  /** Lines of the nats-servers' logs that tell of a damaged stream. */
  readonly damage: readonly string[];
}

/** One POST /spawn and what came of it. */
export interface Post {
  /** Stands in the prompt, and is the same when a client asks again for the same task. */
  readonly key: string;
  /** Whose posts are made one after the other, each when the one before was answered. */
  readonly client: string;
  /** The session's name, if it has one. */
  readonly session?: string;
  /** The task is meant to fail. */
  readonly fails: boolean;
  /** With an Idempotency-Key. */
  readonly idempotent: boolean;
  readonly api: string;
  readonly askedAt: number;
  readonly answeredAt: number;
  /** `unreachable`: never sent; `unanswered`: what became of it is not known. */
  readonly result: 'accepted' | 'refused' | 'unreachable' | 'unanswered';
  readonly status?: number;
  readonly taskId?: string;
  readonly sessionId?: string;
  readonly why?: string;
}

/** A POST /tasks/:id/cancel that was answered. */
export interface Cancel {
  readonly taskId: string;
  readonly askedAt: number;
  readonly answeredAt: number;
  readonly status: number;
}

/** What the checks need of a stored event. */
export interface StoredRow {
  readonly seq: number;
  readonly subject: string;
  readonly type: string;
  /** By its publisher's clock. */
  readonly at: number;
  readonly taskId?: string;
  readonly sessionId?: string;
  readonly attempt?: number;
  readonly n?: number;
  readonly workerId?: string;
  /** Of the worker, in WORKER_ONLINE. */
  readonly pid?: number;
  /** Of a SPAWN_RETRY or SPAWN_CANCELLED; of a SPAWN_ERROR its error's code. */
  readonly reason?: string;
  readonly givenUp?: string;
  /** The prompt's beginning in SPAWN_QUEUED, Claude's answer in SPAWN_COMPLETE. */
  readonly text?: string;
}

/** One who read events, over as many connections as it took. */
export interface Reader {
  readonly name: string;
  /** The one task whose events it reads; all events else. */
  readonly taskId?: string;
  readonly connections: number;
  /** What it received, in that order. */
  readonly seqs: readonly number[];
  /** What it was told or refused that it should not have been. */
  readonly complaints: readonly string[];
}

export type FaultKind = 'kill' | 'stop';
export type FaultRole = 'worker' | 'api' | 'broker';

export interface Fault {
  readonly kind: FaultKind;
  readonly role: FaultRole;
  readonly process: string;
  readonly pid: number;
  readonly at: number;
  /** When a stopped one was continued. */
  readonly continuedAt?: number;
  /** Of a killed worker: how many processes of Claude it had, and after how many ms the last of them was gone. */
  readonly claudes?: { readonly count: number; readonly goneMs: number };
}

/** Processes that should have been gone. */
export interface Leftover {
  readonly what: string;
  readonly pids: readonly number[];
}

/** What the checks need of an event as it is stored. */
export function rowOf(seq: number, subject: string, event: StoredEvent): StoredRow {
  const data = event.data as Partial<
    EventData<'SPAWN_START'> & EventData<'SPAWN_ERROR'> & EventData<'WORKER_ONLINE'> & { reason: string }
  >;
  const reason = data.reason ?? data.error?.code;
  const text = textOf(event);
  return {
    seq,
    subject,
    type: event.type,
    at: Date.parse(event.timestamp),
    ...(data.task_id === undefined ? {} : { taskId: data.task_id }),
    ...(data.session_id === undefined ? {} : { sessionId: data.session_id }),
    ...(data.attempt === undefined ? {} : { attempt: data.attempt }),
    ...(data.n === undefined ? {} : { n: data.n }),
    ...(data.worker_id === undefined ? {} : { workerId: data.worker_id }),
    ...(data.pid === undefined ? {} : { pid: data.pid }),
    ...(reason === undefined ? {} : { reason }),
    ...(data.given_up === undefined ? {} : { givenUp: data.given_up }),
    ...(text === undefined ? {} : { text }),
  };
}

function textOf({ type, data }: StoredEvent): string | undefined {
  if (type === 'SPAWN_QUEUED') return (data as EventData<'SPAWN_QUEUED'>).prompt_preview;
  if (type !== 'SPAWN_COMPLETE') return undefined;
  const result = (data as EventData<'SPAWN_COMPLETE'>).output?.['result'];
  return typeof result === 'string' ? result : undefined;
}
