import { setImmediate as yieldToEventLoop } from 'node:timers/promises';
import type { Logger } from 'pino';
import { RETRY_MS } from '../retry.js';
import type { Session } from '../../contracts/sessions/sessions.js';
import { isEnded } from '../../contracts/tasks/states.js';
import { addUsd } from '../../contracts/wire/money.js';
import { addUsage, NO_USAGE, type Usage } from '../../contracts/access/usage.js';
import type { HubEvent } from '../events/hub-event.js';
import type { StreamPosition } from '../../contracts/wire/cursor.js';
import { deletionOf, type DeletedCosts, type Deletion } from './deleted-costs.js';
import { applyEvent, type TaskRow } from './projection.js';
import { withoutOutput, type TaskFilter, type TaskStore } from './task-store.js';

/** Rows changed within this time share a transaction. */
const FLUSH_MS = 10;
/** An accepted task waits this long for its first event, so that its row is written once. */
const FIRST_EVENT_MS = 500;
/** A selective filter may scan all tasks, which takes seconds. The scan yields to the event loop after this many. */
const SCAN_BATCH = 1_000;

/**
 * The tasks that this API knows: those in the file, and changed rows in memory. Reads see a change at once. The file follows in batches, each
 * with its position in the event stream.
 */
export class ReadModel {
  readonly #store: TaskStore;
  readonly #log: Logger;
  readonly #dirty = new Map<string, TaskRow>();
  /** Accepted tasks without an event. After a crash, their events or commands tell of them. */
  readonly #accepted = new Map<string, TaskRow>();
  /** Deleted tasks that are still in the file. */
  readonly #removed = new Set<string>();
  /** Deletions that are not in the file yet, in the order of the stream. */
  #deletions: Deletion[] = [];
  readonly #onDeleted = new Set<(id: string) => void>();
  readonly #ended = new Map<string, Set<(row: TaskRow) => void>>();
  #position: StreamPosition;
  #written: StreamPosition;
  #flushing: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #acceptedTimer: NodeJS.Timeout | undefined;

  constructor(store: TaskStore, position: StreamPosition, log: Logger) {
    this.#store = store;
    this.#log = log;
    this.#position = position;
    this.#written = position;
  }

  /** The position of the last applied event. */
  get position(): StreamPosition {
    return this.#position;
  }

  /** The output may be absent: use `output`. */
  get(id: string): TaskRow | undefined {
    return this.#inMemory(id) ?? (this.#removed.has(id) ? undefined : this.#store.get(id));
  }

  #inMemory(id: string): TaskRow | undefined {
    return this.#dirty.get(id) ?? this.#accepted.get(id);
  }

  /** A task's output as JSON. */
  output(id: string): string | undefined {
    const output = this.#inMemory(id)?.output;
    if (output !== undefined) return JSON.stringify(output);
    return this.#removed.has(id) ? undefined : this.#store.output(id);
  }

  /** Adds a task that was just accepted, until its events arrive. */
  accept(row: TaskRow): void {
    if (this.get(row.task_id) !== undefined) return;
    this.#accepted.set(row.task_id, row);
    this.#acceptedTimer ??= setTimeout(() => void this.#flushIfPossible(), FIRST_EVENT_MS);
  }

  /** Applies a state event of the stream, in order. */
  apply(event: HubEvent): void {
    const { task_id: id } = event.data;
    if (typeof id === 'string') {
      const before = this.get(id);
      const after = applyEvent(before, event);
      if (after !== undefined && after !== before) {
        this.#dirty.set(id, after);
        this.#accepted.delete(id);
        if (isEnded(after.status)) this.#notifyEnded(after);
      }
    }
    this.passed(event);
  }

  /** Advances the position past an event. */
  passed({ seq, id }: Pick<HubEvent, 'seq' | 'id'>): void {
    if (seq <= this.#position.seq) return;
    this.#position = { ...this.#position, seq, eventId: id };
    this.#schedule();
  }

  /** Applies a TASK_DELETED or SESSION_DELETED of the stream, in order. */
  applyDeletion(event: HubEvent): void {
    const deletion = deletionOf(event);
    if (deletion === undefined) return;
    this.#deletions.push(deletion);
    const id = deletion.task?.task_id;
    if (id !== undefined) {
      this.#forget(id);
      for (const listener of this.#onDeleted) listener(id);
    }
    this.#schedule();
  }

  /** Calls `listener` once when the task ends. @returns a function that unsubscribes. */
  onEnded(id: string, listener: (row: TaskRow) => void): () => void {
    const listeners = this.#ended.get(id) ?? new Set();
    this.#ended.set(id, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#ended.delete(id);
    };
  }

  /** A page of tasks, newest first, without outputs. `next` is the `before` of the next page. */
  async list(
    filter: TaskFilter,
    limit: number,
    before?: string,
  ): Promise<{ rows: TaskRow[]; next: string | undefined }> {
    await this.#flushIfPossible();
    const rows: TaskRow[] = [];
    for (let at = before; ; await yieldToEventLoop()) {
      let scanned = 0;
      for (const { id, row } of this.#store.list(filter, at)) {
        if (row !== undefined && rows.length === limit && !this.#removed.has(id))
          return { rows, next: rows.at(-1)?.task_id };
        if (row !== undefined && !this.#removed.has(id)) rows.push(withoutOutput(this.#dirty.get(id) ?? row));
        at = id;
        if (++scanned === SCAN_BATCH) break;
      }
      if (scanned < SCAN_BATCH) return { rows, next: undefined };
    }
  }

  /** The number of matching tasks and of open ones, and their total usage. */
  async sum(filter: TaskFilter): Promise<{ tasks: number; open: number; usage: Usage }> {
    let [tasks, open, usage] = [0, 0, NO_USAGE];
    let before: string | undefined;
    do {
      const page = await this.list(filter, SCAN_BATCH, before);
      tasks += page.rows.length;
      open += page.rows.filter(({ status }) => !isEnded(status)).length;
      usage = page.rows.reduce((sum, row) => (row.usage === undefined ? sum : addUsage(sum, row.usage)), usage);
      before = page.next;
    } while (before !== undefined);
    return { tasks, open, usage };
  }

  /** What tasks that were deleted have cost. */
  async deletedCosts(deletedFilter: DeletedCosts): Promise<number> {
    await this.#flushIfPossible();
    return this.#store.deletedCosts(deletedFilter);
  }

  /** What a session has cost, with its deleted tasks. */
  async costOfSession(id: string): Promise<number> {
    await this.#flushIfPossible();
    return addUsd(this.#store.session(id)?.usage.cost_usd ?? 0, this.#store.deletedCosts({ sessionId: id }));
  }

  /** What an owner's tasks that ended on a day (UTC) have cost, with the deleted ones. */
  async costOfDay({
    owner,
    day,
    tokenId,
  }: {
    owner: string;
    day: string;
    tokenId?: string | undefined;
  }): Promise<number> {
    await this.#flushIfPossible();
    // In the turn in which the range begins: a task that is deleted meanwhile must not be counted twice.
    let usd = this.#store.deletedCosts({ owner, day, tokenId });
    await this.#forEach(this.#store.ended(owner, day, day), (row) => {
      if (tokenId === undefined || row.token_id === tokenId) usd = addUsd(usd, row.usage?.cost_usd ?? 0);
    });
    return usd;
  }

  /** A session with the totals of its tasks. */
  async session(id: string): Promise<Session | undefined> {
    await this.#flushIfPossible();
    return this.#store.session(id);
  }

  /** A page of sessions, those with the newest tasks first. `next` is the `before` of the next page. */
  async sessions(
    owner: string | undefined,
    limit: number,
    before?: string,
    fits: (session: Session) => boolean = () => true,
  ): Promise<{ sessions: Session[]; next: string | undefined }> {
    await this.#flushIfPossible();
    const sessions: Session[] = [];
    for (const session of this.#store.sessions(owner, before)) {
      if (!fits(session)) continue;
      if (sessions.length === limit) return { sessions, next: sessions.at(-1)?.last_task_id };
      sessions.push(session);
    }
    return { sessions, next: undefined };
  }

  /** Calls `each` with the tasks that ended in a range of days (UTC, inclusive). */
  async forEachEnded(
    { owner, from, to }: { owner: string | undefined; from: string; to: string },
    each: (row: TaskRow) => void,
  ): Promise<void> {
    await this.#flushIfPossible();
    await this.#forEach(this.#store.ended(owner, from, to), each);
  }

  async #forEach(rows: Iterable<TaskRow>, each: (row: TaskRow) => void): Promise<void> {
    // An LMDB range stays open across turns, and shows the state of its start.
    for await (const row of yielding(rows)) each(row);
  }

  /** At most `limit` tasks that ended before a time (ISO 8601) and may be deleted, those of the earliest days first. */
  async endedUntil(
    { owner, before }: { owner: string | undefined; before: string },
    limit: number,
    mayDelete: (row: TaskRow, session: Session | undefined, deleted: number) => boolean,
  ): Promise<TaskRow[]> {
    await this.flush();
    const found: TaskRow[] = [];
    const deletedBySession = new Map<string, number>();
    for await (const row of yielding(this.#store.ended(owner, '', before.slice(0, 10)))) {
      if (found.length === limit) break;
      const { session_id: id, ended_at: endedAt = before } = row;
      const deleted = deletedBySession.get(id) ?? 0;
      if (endedAt >= before || !mayDelete(row, this.#store.session(id), deleted)) continue;
      found.push(row);
      deletedBySession.set(id, deleted + 1);
    }
    return found;
  }

  /** At most `limit` sessions that have no open tasks, were not used since a time, and may be deleted. */
  async idleSessions(
    { owner, before }: { owner: string | undefined; before: string },
    limit: number,
    mayDelete: (session: Session) => boolean,
  ): Promise<Session[]> {
    await this.flush();
    const found: Session[] = [];
    for await (const session of yielding(this.#store.oldestSessions(owner, firstIdAt(before)))) {
      if (found.length === limit) break;
      if (session.open === 0 && session.updated_at < before && mayDelete(session)) found.push(session);
    }
    return found;
  }

  /** The number of open tasks of a token. Tasks that other APIs accept are counted a moment later. */
  openOf(tokenId: string): number {
    let ahead = 0;
    for (const row of [...this.#dirty.values(), ...this.#accepted.values()]) {
      if (row.token_id !== tokenId) continue;
      const stored = this.#store.get(row.task_id);
      const counted = stored !== undefined && !isEnded(stored.status);
      ahead += Number(!isEnded(row.status)) - Number(counted);
    }
    return this.#store.openOf(tokenId) + ahead;
  }

  /** At most `limit` tasks that should have started before `now`, earliest first. */
  async overdue(now: Date, limit: number): Promise<TaskRow[]> {
    await this.#flushIfPossible();
    return first(limit, this.#store.overdue(now.toISOString()));
  }

  /** At most `limit` tasks that were cancelled before a time because they had not been accepted. */
  async notAccepted(before: Date, limit: number): Promise<TaskRow[]> {
    await this.#flushIfPossible();
    return first(limit, this.#store.notAccepted(before.toISOString()));
  }

  /**
   * Call it when TASK_DELETED of these tasks is stored. Resolves when the events have been applied, so that what the tasks cost is counted, and
   * their rows are out of the file, unless the disk is full. @param ms the longest wait. Then the rows go, and their cost is counted later.
   */
  async remove(ids: Iterable<string>, ms: number): Promise<void> {
    const waiting = new Set([...ids].filter((id) => this.get(id) !== undefined));
    await this.#untilGone(waiting, ms);
    for (const id of waiting) this.#forget(id);
    await this.#flushIfPossible();
  }

  #untilGone(ids: Set<string>, ms: number): Promise<void> {
    if (ids.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#onDeleted.delete(listener);
        resolve();
      };
      const timer = setTimeout(done, ms);
      const listener = (id: string): void => {
        if (ids.delete(id) && ids.size === 0) done();
      };
      this.#onDeleted.add(listener);
    });
  }

  #forget(id: string): void {
    this.#dirty.delete(id);
    this.#accepted.delete(id);
    this.#removed.add(id);
  }

  /** Removes everything, because the event stream was replaced. */
  async reset(position: StreamPosition): Promise<void> {
    while (this.#flushing !== undefined) await this.#flushing.catch(() => undefined);
    this.#dirty.clear();
    this.#accepted.clear();
    this.#removed.clear();
    this.#deletions = [];
    // Before `clear`: a flush in between must not write the old position.
    this.#position = position;
    this.#written = position;
    await this.#store.clear();
  }

  /** Resolves when all changes are in the file. */
  async flush(): Promise<void> {
    clearTimeout(this.#acceptedTimer);
    this.#acceptedTimer = undefined;
    for (const [id, row] of this.#accepted) this.#dirty.set(id, row);
    this.#accepted.clear();
    await this.#flushChanged();
  }

  async #flushChanged(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    while (this.#flushing !== undefined) await this.#flushing;
    const waiting = this.#dirty.size + this.#removed.size + this.#deletions.length;
    if (waiting === 0 && this.#written === this.#position) return;
    this.#flushing = this.#write();
    await this.#flushing;
  }

  async stop(): Promise<void> {
    await this.#flushIfPossible();
    clearTimeout(this.#timer);
    clearTimeout(this.#acceptedTimer);
    await this.#store.close();
  }

  async #write(): Promise<void> {
    const rows = [...this.#dirty.values()];
    const removed = [...this.#removed];
    const deletions = [...this.#deletions];
    const position = this.#position;
    try {
      await this.#store.write(rows, position, deletions, removed);
      this.#written = position;
      this.#deletions.splice(0, deletions.length);
      for (const id of removed) this.#removed.delete(id);
      for (const row of rows) if (this.#dirty.get(row.task_id) === row) this.#dirty.delete(row.task_id);
    } finally {
      this.#flushing = undefined;
    }
  }

  #schedule(delayMs = FLUSH_MS): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.#flushIfPossible(() => this.#flushChanged());
    }, delayMs);
  }

  /** Flushes. If the disk is full, changes stay in memory and are retried. */
  async #flushIfPossible(flush = () => this.flush()): Promise<void> {
    try {
      await flush();
    } catch (error) {
      this.#log.error({ err: error }, 'the read model could not be written; retrying');
      this.#schedule(RETRY_MS.background);
    }
  }

  #notifyEnded(row: TaskRow): void {
    const listeners = this.#ended.get(row.task_id);
    this.#ended.delete(row.task_id);
    for (const listener of listeners ?? []) listener(row);
  }
}

/** A lower bound of the UUIDv7s created from a time (ISO 8601) on. */
export function firstIdAt(time: string): string {
  const hex = Date.parse(time).toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}`;
}

/** Yields to the event loop after each batch of a long scan. */
async function* yielding<T>(found: Iterable<T>): AsyncGenerator<T> {
  let scanned = 0;
  for (const item of found) {
    yield item;
    if (++scanned % SCAN_BATCH === 0) await yieldToEventLoop();
  }
}

function first(limit: number, found: Iterable<TaskRow>): TaskRow[] {
  const rows: TaskRow[] = [];
  for (const row of found) if (rows.push(row) === limit) break;
  return rows;
}
