import type { Database } from 'lmdb';
import { isEnded, mayFollow, TASK_STATUSES, type TaskStatus } from '../../contracts/tasks/states.js';
import type { Session } from '../../contracts/sessions/sessions.js';
import type { Position } from '../../contracts/wire/cursor.js';
import type { TaskRow } from './projection.js';
import type { LmdbFileSpec } from './file.js';
import { DELETION_BYTES, DeletedCostCounters, type DeletedCosts, type Deletion } from './deleted-costs.js';
import { LmdbFile } from './lmdb-file.js';
import { sessionAfter } from './session-row.js';

/** Raised when the rows' shape changes: an older file is then rebuilt. */
const SCHEMA = 8;

export interface TaskFilter {
  readonly owner: string | undefined;
  readonly status?: readonly TaskStatus[] | undefined;
  readonly sessionId?: string | undefined;
  readonly queue?: string | undefined;
  /** The token that asked for it. */
  readonly tokenId?: string | undefined;
  readonly spawnedBy?: string | undefined;
  readonly exchangeId?: string | undefined;
  /** Without the tasks that nobody was told of, as they were not accepted. */
  readonly accepted?: boolean | undefined;
  /** Only those that have ended. */
  readonly ended?: true | undefined;
  /** Only those whose `created_at` or `ended_at` is in a range. */
  readonly created?: (time: string) => boolean;
  readonly endedAt?: (time: string) => boolean;
  readonly metadata?: { readonly name: string; readonly value: string } | undefined;
}

type Key = readonly string[];

/** Of an owner's tasks when no owner is asked for. */
const ALL = '*';
const LAST = '\uFFFF';
/** A transaction is bounded, so that the disk can be asked for room for it. */
const ROWS_AT_ONCE = 256;
const BYTES_AT_ONCE = 4 * 1_048_576;
/** A row, its output, its session, and its keys in the indexes, old and new. */
const ENTRIES_OF_ROW = 32;
const ROW_BYTES = 4_096;
/** Of a file that is cleared: the list of its free pages grows. */
const BYTES_PER_FREED = 256;
const OPEN = TASK_STATUSES.filter((status) => !isEnded(status));

const DATABASES = {
  tasks: { name: 'tasks', encoding: 'msgpack' },
  outputs: { name: 'outputs', encoding: 'string' },
  index: { name: 'index', encoding: 'string' },
  sessions: { name: 'sessions', encoding: 'msgpack' },
  deleted_costs: { name: 'deleted_costs', encoding: 'msgpack' },
} as const;

/** The read model's file. Everything in it can be had again. */
export const taskFile = (path: string): LmdbFileSpec => ({ path, databases: Object.values(DATABASES), aside: path });

/**
 * The read model's file: tasks, their indexes (task ids are UUIDv7, so their order is the order of acceptance), and the position in
 * the event stream up to which they hold, in the same transactions.
 */
export class TaskStore {
  readonly #file: LmdbFile;
  readonly #tasks: Database<TaskRow, string>;
  /** Outputs as JSON, apart from the rows: a list of tasks must not read them. */
  readonly #outputs: Database<string, string>;
  readonly #index: Database<string, string[]>;
  readonly #sessions: Database<Session, string>;
  readonly #deletedCosts: DeletedCostCounters;

  /** @param path of the file; made if there is none. @param exchangeDays see DeletedCostCounters. */
  constructor(path: string, exchangeDays: number) {
    this.#file = new LmdbFile(path);
    const { root } = this.#file;
    const { tasks, outputs, index, sessions, deleted_costs: deletedCosts } = DATABASES;
    this.#tasks = root.openDB<TaskRow, string>(tasks);
    this.#outputs = root.openDB<string, string>(outputs);
    this.#index = root.openDB<string, string[]>(index);
    this.#sessions = root.openDB<Session, string>(sessions);
    this.#deletedCosts = new DeletedCostCounters(root.openDB(deletedCosts), exchangeDays);
  }

  /** Undefined: it is empty, or of another schema. */
  position(): Position | undefined {
    const meta = this.#file.root.get('meta') as { schema: number; position: Position } | undefined;
    return meta?.schema === SCHEMA ? meta.position : undefined;
  }

  /** Without its output, like all rows that are read from here. */
  get(id: string): TaskRow | undefined {
    return this.#tasks.get(id);
  }

  /** A task's output as JSON. */
  output(id: string): string | undefined {
    return this.#outputs.get(id);
  }

  /**
   * Removes deleted tasks, and writes rows and the position that they bring the file to. When it fails, some may be written: write the
   * same again. @param deletions in the order of the stream. @param removed tasks whose deletion comes later. @throws ENOSPC
   */
  async write(
    rows: readonly TaskRow[],
    position: Position,
    deletions: readonly Deletion[] = [],
    removed: readonly string[] = [],
  ): Promise<void> {
    const outputs = rows.map(({ output }) => (output === undefined ? undefined : JSON.stringify(output)));
    const changes = [
      ...deletions.map((deletion) => ({ bytes: DELETION_BYTES, apply: () => this.#delete(deletion) })),
      ...removed.map((id) => ({ bytes: 0, apply: () => this.#remove(id) })),
      ...rows.map((row, n) => ({ bytes: bytesOf(row, outputs[n]), apply: () => this.#put(row, outputs[n]) })),
    ];
    const { root } = this.#file;
    let at = 0;
    do {
      let end = at;
      let bytes = 0;
      while (end < changes.length && end - at < ROWS_AT_ONCE && bytes < BYTES_AT_ONCE)
        bytes += changes[end++]?.bytes ?? 0;
      const some = changes.slice(at, end);
      const isLast = end === changes.length;
      await this.#file.write({ entries: 1 + some.length * ENTRIES_OF_ROW, bytes }, () =>
        root.transaction(() => {
          for (const { apply } of some) apply();
          if (isLast) void root.put('meta', { schema: SCHEMA, position });
        }),
      );
      at = end;
    } while (at < changes.length);
  }

  /** Newest first, those before the task id `before`; without its row, one that the index had to offer and the filter refuses. */
  *list(filter: TaskFilter, before?: string): Generator<{ id: string; row: TaskRow | undefined }> {
    const { prefixes, rest } = indexOf(filter);
    const ranges = prefixes.map((prefix) =>
      this.#index
        .getRange({ start: [...prefix, before ?? LAST], end: prefix, reverse: true })
        .map(({ value }) => value),
    );
    for (const id of newestFirst(ranges)) {
      if (id === before) continue;
      const row = this.#tasks.get(id);
      yield { id, row: row !== undefined && rest(row) ? row : undefined };
    }
  }

  /** What tasks that were deleted have cost. */
  deletedCosts(asked: DeletedCosts): number {
    return this.#deletedCosts.of(asked);
  }

  session(id: string): Session | undefined {
    return this.#sessions.get(id);
  }

  /** Those with the newest tasks first, those whose newest is before the task id `before`. */
  *sessions(owner: string | undefined, before?: string): Generator<Session> {
    const prefix = ['sessions', owner ?? ALL];
    for (const { value: id } of this.#index.getRange({
      start: [...prefix, before ?? LAST],
      end: prefix,
      reverse: true,
    })) {
      const session = this.#sessions.get(id);
      if (session !== undefined && session.last_task_id !== before) yield session;
    }
  }

  /** Sessions with the oldest tasks first: those whose newest task is before the task id `before`. */
  *oldestSessions(owner: string | undefined, before: string): Generator<Session> {
    const prefix = ['sessions', owner ?? ALL];
    for (const { value: id } of this.#index.getRange({ start: prefix, end: [...prefix, before] })) {
      const session = this.#sessions.get(id);
      if (session !== undefined) yield session;
    }
  }

  /** Ended tasks by the day (UTC, `2026-01-31`) on which they ended, from one day to another. */
  *ended(owner: string | undefined, from: string, to: string): Generator<TaskRow> {
    const prefix = ['ended', owner ?? ALL];
    for (const { value: id } of this.#index.getRange({ start: [...prefix, from], end: [...prefix, to, LAST] })) {
      const row = this.#tasks.get(id);
      if (row !== undefined) yield row;
    }
  }

  /** How many tasks that a token asked for have not ended. */
  openOf(tokenId: string): number {
    return this.#index.getKeysCount({ start: ['open', tokenId], end: ['open', tokenId, LAST] });
  }

  /** Tasks that should have started before `now` (ISO 8601), those due first. */
  *overdue(now: string): Generator<TaskRow> {
    for (const { value: id } of this.#index.getRange({ start: ['due'], end: ['due', now] })) {
      const row = this.#tasks.get(id);
      if (row !== undefined) yield row;
    }
  }

  /** Tasks that were cancelled before `before` (ISO 8601) as they had not been accepted. */
  *notAccepted(before: string): Generator<TaskRow> {
    for (const { value: id } of this.#index.getRange({ start: ['not_accepted'], end: ['not_accepted', before] })) {
      const row = this.#tasks.get(id);
      if (row !== undefined) yield row;
    }
  }

  /** Whether a task is there that has no outcome. */
  hasOpen(): boolean {
    return OPEN.some((status) => {
      const found = this.list({ owner: undefined, status: [status] });
      const none = found.next().done === true;
      // Else its cursor stays open, and with it the pages of that moment.
      found.return(undefined);
      return !none;
    });
  }

  async clear(): Promise<void> {
    await this.#file.write({ entries: ENTRIES_OF_ROW, bytes: this.#file.size / BYTES_PER_FREED }, () =>
      Promise.all([
        this.#tasks.clearAsync(),
        this.#outputs.clearAsync(),
        this.#index.clearAsync(),
        this.#sessions.clearAsync(),
        this.#deletedCosts.clear(),
        this.#file.root.remove('meta'),
      ]),
    );
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  /** The row and its cost in the counters change places in one transaction. */
  #delete(deletion: Deletion): void {
    if (deletion.task !== undefined) this.#remove(deletion.task.task_id);
    this.#deletedCosts.apply(deletion);
  }

  #remove(id: string): void {
    const row = this.#tasks.get(id);
    if (row === undefined) return;
    for (const key of [...lastingKeys(row), ...passingKeys(row), ...knownKeys(row)]) void this.#index.remove([...key]);
    void this.#tasks.remove(id);
    void this.#outputs.remove(id);
    this.#account(row, undefined);
  }

  #put(row: TaskRow, output: string | undefined): void {
    const old = this.#tasks.get(row.task_id);
    if (old === undefined) for (const key of lastingKeys(row)) void this.#index.put([...key], row.task_id);
    if (old?.status !== row.status || old.start_by !== row.start_by) {
      for (const key of old === undefined ? [] : passingKeys(old)) void this.#index.remove([...key]);
      for (const key of passingKeys(row)) void this.#index.put([...key], row.task_id);
    }
    // Known with its SPAWN_QUEUED, which may come after the first word of it.
    const known = knownKeys(row);
    if (old === undefined || knownKeys(old).length < known.length)
      for (const key of known) void this.#index.put([...key], row.task_id);
    if (output !== undefined) void this.#outputs.put(row.task_id, output);
    void this.#tasks.put(row.task_id, withoutOutput(row));
    this.#account(old, row);
  }

  /** Brings its session up to a change of a task. */
  #account(before: TaskRow | undefined, after: TaskRow | undefined): void {
    const { session_id: id = '' } = after ?? before ?? {};
    const old = this.#sessions.get(id);
    const next = sessionAfter(old, before, after);
    if (next === undefined) void this.#sessions.remove(id);
    else void this.#sessions.put(id, next);
    if (old?.last_task_id === next?.last_task_id) return;
    // It stays its first task's owner's, though one who sees all may have gone on with it.
    for (const whose of [ALL, (old ?? next)?.owner ?? '']) {
      if (old !== undefined) void this.#index.remove(['sessions', whose, old.last_task_id]);
      if (next !== undefined) void this.#index.put(['sessions', whose, next.last_task_id], id);
    }
  }
}

/** A row as it is stored and listed. */
export function withoutOutput({ output: _output, ...row }: TaskRow): TaskRow {
  return row;
}

/** What a row writes at most, in its indexes too, where its metadata stand twice. */
function bytesOf(
  { metadata, error, message, prompt_preview, mcp_servers }: TaskRow,
  output: string | undefined,
): number {
  const ofAnyLength = JSON.stringify([metadata, metadata, metadata, error, message, prompt_preview, mcp_servers]);
  return ROW_BYTES + Buffer.byteLength(ofAnyLength) + Buffer.byteLength(output ?? '');
}

const wasNotAccepted = ({ status, reason }: TaskRow): boolean => status === 'cancelled' && reason === 'not_accepted';

const lastingKeys = (row: TaskRow): Key[] => [
  ['all', ALL, row.task_id],
  ['all', row.owner, row.task_id],
  ['session', row.session_id, row.task_id],
];

const passingKeys = (row: TaskRow): Key[] => [
  ['status', ALL, row.status, row.task_id],
  ['status', row.owner, row.status, row.task_id],
  ...(row.token_id === undefined || isEnded(row.status) ? [] : [['open', row.token_id, row.task_id]]),
  ...(row.ended_at === undefined
    ? []
    : [ALL, row.owner].map((whose) => ['ended', whose, row.ended_at?.slice(0, 10) ?? '', row.task_id])),
  ...(wasNotAccepted(row) ? [['not_accepted', row.ended_at ?? '', row.task_id]] : []),
  ...(row.start_by === undefined || !mayFollow(row.status, 'expired') ? [] : [['due', row.start_by, row.task_id]]),
];

const knownKeys = (row: TaskRow): Key[] => [
  ...Object.entries(row.metadata ?? {}).flatMap(([name, value]) => [
    ['metadata', ALL, name, value, row.task_id],
    ['metadata', row.owner, name, value, row.task_id],
  ]),
  ...(row.spawned_by === undefined ? [] : [['spawned_by', row.spawned_by, row.task_id]]),
  ...(row.exchange_id === undefined ? [] : [['exchange', row.exchange_id, row.task_id]]),
];

/** Merges ranges of task ids that are newest first each. */
function* newestFirst(ranges: readonly Iterable<string>[]): Generator<string> {
  const heads = ranges.map((range) => {
    const ids = range[Symbol.iterator]();
    return { ids, next: ids.next() };
  });
  try {
    for (;;) {
      let newest: (typeof heads)[number] | undefined;
      for (const head of heads) if (head.next.done !== true && !(newest?.next.value >= head.next.value)) newest = head;
      if (newest === undefined) return;
      yield newest.next.value;
      newest.next = newest.ids.next();
    }
  } finally {
    for (const { ids } of heads) ids.return?.();
  }
}

/** The index that serves a filter best, and what of the filter is left to check on the rows. */
function indexOf(filter: TaskFilter): { prefixes: string[][]; rest: (row: TaskRow) => boolean } {
  const { owner, status, sessionId, queue, tokenId, spawnedBy, exchangeId, accepted, metadata } = filter;
  const { ended, endedAt, created } = filter;
  const rest = (row: TaskRow): boolean =>
    (owner === undefined || row.owner === owner) &&
    (status === undefined || status.includes(row.status)) &&
    (sessionId === undefined || row.session_id === sessionId) &&
    (queue === undefined || row.queue === queue) &&
    (tokenId === undefined || row.token_id === tokenId) &&
    (spawnedBy === undefined || row.spawned_by === spawnedBy) &&
    (exchangeId === undefined || row.exchange_id === exchangeId) &&
    (accepted !== true || !wasNotAccepted(row)) &&
    (ended !== true || isEnded(row.status)) &&
    (created === undefined || created(row.created_at)) &&
    (endedAt === undefined || (row.ended_at !== undefined && endedAt(row.ended_at))) &&
    (metadata === undefined || row.metadata?.[metadata.name] === metadata.value);
  if (sessionId !== undefined) return { prefixes: [['session', sessionId]], rest };
  if (spawnedBy !== undefined) return { prefixes: [['spawned_by', spawnedBy]], rest };
  if (exchangeId !== undefined) return { prefixes: [['exchange', exchangeId]], rest };
  if (metadata !== undefined) return { prefixes: [['metadata', owner ?? ALL, metadata.name, metadata.value]], rest };
  if (status !== undefined) return { prefixes: status.map((each) => ['status', owner ?? ALL, each]), rest };
  return { prefixes: [['all', owner ?? ALL]], rest };
}
