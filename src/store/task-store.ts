import type { Database } from 'lmdb';
import { isEnded, mayFollow, TASK_STATUSES, type TaskStatus } from '../../contracts/tasks/states.js';
import type { Session } from '../../contracts/sessions/sessions.js';
import type { StreamPosition } from '../../contracts/wire/cursor.js';
import type { TaskRow } from './projection.js';
import type { LmdbFileSpec } from './damaged-files.js';
import { DELETION_BYTES, DeletedCostCounters, type DeletedCosts, type Deletion } from './deleted-costs.js';
import { LmdbFile } from './lmdb-file.js';
import { sessionAfter } from './session-row.js';

/** Increase it when the rows' shape changes, so that older files are rebuilt. */
const SCHEMA = 8;

export interface TaskFilter {
  readonly owner: string | undefined;
  readonly status?: readonly TaskStatus[] | undefined;
  readonly sessionId?: string | undefined;
  readonly queue?: string | undefined;
  /** The token that spawned the task. */
  readonly tokenId?: string | undefined;
  readonly spawnedBy?: string | undefined;
  readonly exchangeId?: string | undefined;
  /** Excludes tasks that were cancelled because they had not been accepted. */
  readonly accepted?: boolean | undefined;
  /** Only ended tasks. */
  readonly ended?: true | undefined;
  /** Only those whose `created_at` or `ended_at` is in a range. */
  readonly created?: (time: string) => boolean;
  readonly endedAt?: (time: string) => boolean;
  readonly metadata?: { readonly name: string; readonly value: string } | undefined;
}

type Key = readonly string[];

/** The owner in keys that cover all owners. */
const ALL = '*';
const LAST = '\uFFFF';
/** Limits of a transaction, so that its disk space can be reserved. */
const MAX_ROWS = 256;
const MAX_BYTES = 4 * 1_048_576;
/** Upper bound: the row, its output, its session, and its old and new index keys. */
const ENTRIES_OF_ROW = 32;
const ROW_BYTES = 4_096;
/** When a file is cleared, its free list grows by one byte per this many. */
const BYTES_PER_FREED = 256;
const OPEN = TASK_STATUSES.filter((status) => !isEnded(status));

const DATABASES = {
  tasks: { name: 'tasks', encoding: 'msgpack' },
  outputs: { name: 'outputs', encoding: 'string' },
  index: { name: 'index', encoding: 'string' },
  sessions: { name: 'sessions', encoding: 'msgpack' },
  deleted_costs: { name: 'deleted_costs', encoding: 'msgpack' },
} as const;

/** The read model's file. It can be rebuilt from events. */
export const taskFile = (path: string): LmdbFileSpec => ({ path, databases: Object.values(DATABASES), aside: path });

/**
 * The read model's file: tasks, their indexes, and the position in the event stream, written in the same transactions. Task ids are UUIDv7,
 * so their order is the order of acceptance.
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

  /** Undefined: the file is empty or has another schema. */
  position(): StreamPosition | undefined {
    const meta = this.#file.root.get('meta') as { schema: number; position: StreamPosition } | undefined;
    return meta?.schema === SCHEMA ? meta.position : undefined;
  }

  /** A row. All rows are read without outputs. */
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
    position: StreamPosition,
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
      while (end < changes.length && end - at < MAX_ROWS && bytes < MAX_BYTES) bytes += changes[end++]?.bytes ?? 0;
      const part = changes.slice(at, end);
      const isLast = end === changes.length;
      await this.#file.write({ entries: 1 + part.length * ENTRIES_OF_ROW, bytes }, () =>
        root.transaction(() => {
          for (const { apply } of part) apply();
          if (isLast) void root.put('meta', { schema: SCHEMA, position });
        }),
      );
      at = end;
    } while (at < changes.length);
  }

  /** Scans tasks before the id `before`, newest first. A task that does not match is yielded without its row. */
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
  deletedCosts(deletedFilter: DeletedCosts): number {
    return this.#deletedCosts.of(deletedFilter);
  }

  session(id: string): Session | undefined {
    return this.#sessions.get(id);
  }

  /** Sessions whose newest task is before the id `before`, newest first. */
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

  /** Sessions whose newest task is before the id `before`, oldest first. */
  *oldestSessions(owner: string | undefined, before: string): Generator<Session> {
    const prefix = ['sessions', owner ?? ALL];
    yield* this.#found(this.#sessions, prefix, [...prefix, before]);
  }

  /** Tasks that ended in a range of days (UTC, `2026-01-31`, inclusive), sorted by day. */
  *ended(owner: string | undefined, from: string, to: string): Generator<TaskRow> {
    const prefix = ['ended', owner ?? ALL];
    yield* this.#found(this.#tasks, [...prefix, from], [...prefix, to, LAST]);
  }

  /** The number of open tasks of a token. */
  openOf(tokenId: string): number {
    return this.#index.getKeysCount({ start: ['open', tokenId], end: ['open', tokenId, LAST] });
  }

  /** Tasks that should have started before `now` (ISO 8601), earliest first. */
  *overdue(now: string): Generator<TaskRow> {
    yield* this.#found(this.#tasks, ['due'], ['due', now]);
  }

  /** Tasks that were cancelled before `before` (ISO 8601) because they had not been accepted. */
  *notAccepted(before: string): Generator<TaskRow> {
    yield* this.#found(this.#tasks, ['not_accepted'], ['not_accepted', before]);
  }

  /** Whether there is an open task. */
  hasOpen(): boolean {
    return OPEN.some((status) => {
      const found = this.list({ owner: undefined, status: [status] });
      const none = found.next().done === true;
      // Closes the range. An open one would keep old pages from being reused.
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

  *#found<T>(rows: Database<T, string>, start: string[], end: string[]): Generator<T> {
    for (const { value: id } of this.#index.getRange({ start, end })) {
      const row = rows.get(id);
      if (row !== undefined) yield row;
    }
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
    // These fields are known from SPAWN_QUEUED, which may be applied after the row was created.
    const known = knownKeys(row);
    if (old === undefined || knownKeys(old).length < known.length)
      for (const key of known) void this.#index.put([...key], row.task_id);
    if (output !== undefined) void this.#outputs.put(row.task_id, output);
    void this.#tasks.put(row.task_id, withoutOutput(row));
    this.#account(old, row);
  }

  /** Updates the session of a changed task. */
  #account(before: TaskRow | undefined, after: TaskRow | undefined): void {
    const { session_id: id = '' } = after ?? before ?? {};
    const old = this.#sessions.get(id);
    const next = sessionAfter(old, before, after);
    if (next === undefined) void this.#sessions.remove(id);
    else void this.#sessions.put(id, next);
    if (old?.last_task_id === next?.last_task_id) return;
    // A session keeps the owner of its first task, even if an admin continues it.
    for (const ownerKey of [ALL, (old ?? next)?.owner ?? '']) {
      if (old !== undefined) void this.#index.remove(['sessions', ownerKey, old.last_task_id]);
      if (next !== undefined) void this.#index.put(['sessions', ownerKey, next.last_task_id], id);
    }
  }
}

/** A row as it is stored and listed. */
export function withoutOutput({ output: _output, ...row }: TaskRow): TaskRow {
  return row;
}

/** An upper bound of the bytes that a row writes, including its indexes, which contain the metadata twice. */
function bytesOf(
  { metadata, error, message, prompt_preview, mcp_servers }: TaskRow,
  output: string | undefined,
): number {
  const variable = JSON.stringify([metadata, metadata, metadata, error, message, prompt_preview, mcp_servers]);
  return ROW_BYTES + Buffer.byteLength(variable) + Buffer.byteLength(output ?? '');
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
    : [ALL, row.owner].map((ownerKey) => ['ended', ownerKey, row.ended_at?.slice(0, 10) ?? '', row.task_id])),
  ...(wasNotAccepted(row) ? [['not_accepted', row.ended_at ?? '', row.task_id]] : []),
  ...(row.start_by === undefined || !mayFollow(row.status, 'expired') ? [] : [['due', row.start_by, row.task_id]]),
];

const knownKeys = (row: TaskRow): Key[] => [
  ...Object.entries(row.metadata ?? {}).flatMap(([name, value]) =>
    [ALL, row.owner].map((owner) => ['metadata', owner, name, value, row.task_id]),
  ),
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

/** The best index for a filter, and the filter itself as a predicate. */
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
