import type {
  DeletionPending,
  UndeletedFolder,
  TasksDeleted,
  TasksDeleteQuery,
} from '../../../contracts/retention/deletion.js';
import { filterOf } from '../../tasks/task-filter.js';
import { STREAM, SUBJECT } from '../../../contracts/wire/names.js';
import { isEnded } from '../../../contracts/tasks/states.js';
import type { Broker } from '../../broker/connect.js';
import { lastBySubject, subjectsOf } from '../../broker/read.js';
import type { TaskRow } from '../../store/projection.js';
import type { ReadModel } from '../../store/read-model.js';
import type { TaskFilter } from '../../store/task-store.js';
import type { AgentDeletion } from '../../agents/agent-deletion.js';
import { ApiError, withApiErrors, invalid } from '../../errors/api-error.js';
import type { Conversations } from '../../conversations/conversations.js';
import { keyBefore, pageWith } from '../../lists/page.js';
import { listedOwner, maySee, type Principal } from '../../access/principal.js';
import type { SessionNames } from '../../sessions/names.js';
import type { SessionRecords } from '../../sessions/records.js';
import type { Canceller } from '../../tasks/steer/cancel.js';
import type { TaskReader } from '../../tasks/reader.js';
import type { TokenRegistry } from '../../access/tokens/registry.js';
import type { SessionWithoutTasks, SessionDeletion } from './session-deletion.js';
import type { DeletableTask, DeletionResult, TaskDeletion } from './task-deletion.js';

export interface DeleterOptions {
  readonly broker: Broker;
  readonly tasks: Pick<TaskReader, 'task'>;
  readonly model: Pick<ReadModel, 'list' | 'session'>;
  readonly taskRemover: Pick<TaskDeletion, 'remove'>;
  readonly sessionRemover: Pick<SessionDeletion, 'remove'>;
  readonly canceller: Pick<Canceller, 'cancel'>;
  readonly tokens: Pick<TokenRegistry, 'list' | 'revoke'>;
  readonly records: Pick<SessionRecords, 'among' | 'ownerOf'>;
  readonly names: Pick<SessionNames, 'find'>;
  /** What else there is of owners. */
  readonly ofOwners: readonly { purge(owner: string): Promise<void> }[];
  readonly agents: Pick<AgentDeletion, 'owner'>;
  readonly conversations: Pick<Conversations, 'owner'>;
}

const PAGE = 500;
const DEFAULT_DELETED = 200;

const MAX_NAMED = 100;

/** What a deletion left on hosts of workers; undefined: it is complete. */
type Deleted = DeletionPending | undefined;

const pending = (left: readonly UndeletedFolder[]): Deleted =>
  left.length === 0 ? undefined : { left: left.slice(0, MAX_NAMED) };

/**
 * Deletes what is kept of tasks, sessions and owners: events, commands, dead letters, transcripts, bodies, agents and their messages. What says that
 * something was deleted is written last, so that a deletion that was broken off can be asked for again. The audit stays.
 */
export class Deleter {
  readonly #options: DeleterOptions;

  constructor(options: DeleterOptions) {
    this.#options = options;
  }

  /** Its session goes with it when no other task and no import is in that. @throws {ApiError} not_ended: cancel it first. */
  async task(id: string, principal: Principal): Promise<Deleted> {
    const task = await this.#options.tasks.task(id, principal);
    return pending((await withApiErrors(() => this.#whole(this.#tasks([task], principal)))).left);
  }

  /** A page of the ended tasks that match. Open ones stay. @throws {ApiError} */
  async matching(query: TasksDeleteQuery, principal: Principal): Promise<TasksDeleted> {
    const { limit = DEFAULT_DELETED, cursor, dry_run: dry } = query;
    const filter = await this.#filterOf(query, principal);
    const before = keyBefore('tasks_delete', cursor);
    if (filter === undefined) return { deleted: 0, refused: [] };
    const { rows, next } = await this.#options.model.list(filter, limit, before);
    const { items: _none, ...following } = pageWith('tasks_delete', [], next);
    if (dry === true) return { deleted: rows.length, refused: [], ...following };
    const { removed, refused, left } = await withApiErrors(() => this.#tasks(rows, principal));
    return {
      deleted: removed.length,
      refused: refused.map(({ task, error: { code, message } }) => ({ task_id: task.task_id, code, detail: message })),
      ...pending(left),
      ...following,
    };
  }

  /** Deletes tasks that have ended, and their sessions that no task is left of. @throws {ApiError} @throws {BrokerError} */
  async ended(rows: readonly TaskRow[], principal: Principal): Promise<DeletionResult<TaskRow>> {
    return this.#tasks(rows, principal);
  }

  /** With all its tasks. @param asked its UUID or name. @throws {ApiError} not_ended when a task of it is open. */
  async session(asked: string, principal: Principal): Promise<Deleted> {
    const sessionId = (await withApiErrors(() => this.#options.names.find(asked, principal.owner)))?.sessionId;
    if (sessionId === undefined) throw new ApiError('session_not_found', `There is no session ${asked}`);
    const rows = await this.#rows({ owner: undefined, sessionId });
    const kept = await withApiErrors(() => this.#hasTranscript(sessionId));
    const owner = rows.at(-1)?.owner ?? (await withApiErrors(() => this.#options.records.ownerOf(sessionId)));
    // Of a session whose tasks are not known any more, nobody knows whose it is.
    if (owner === undefined ? !kept || !principal.seesAll : !maySee(principal, owner))
      throw new ApiError('session_not_found', `There is no session ${asked}`);
    const open = rows.find(({ status }) => !isEnded(status));
    if (open !== undefined)
      throw new ApiError('not_ended', `Task ${open.task_id} of the session is ${open.status}, so the session stays`);
    return pending(await withApiErrors(() => this.#session(sessionId, rows, owner ?? principal.owner, principal)));
  }

  /** All that is an owner's, its tokens first; what is open is cancelled. @throws {ApiError} forbidden */
  async owner(owner: string, principal: Principal): Promise<Deleted> {
    if (!maySee(principal, owner))
      throw new ApiError('forbidden', 'Another owner can only be deleted with a token that sees all owners');
    for (const { token_id: id, owner: holder } of this.#options.tokens.list(principal))
      if (holder === owner) await this.#options.tokens.revoke(id, principal);
    const left: UndeletedFolder[] = [];
    await withApiErrors(async () => {
      // Before its tasks: an agent would go on making them.
      await this.#options.conversations.owner(owner, { ...principal, seesAll: true });
      await this.#options.agents.owner(owner, principal.owner);
      for (;;) {
        const { rows } = await this.#options.model.list({ owner }, PAGE);
        if (rows.length === 0) break;
        left.push(...(await this.#ofOwner(owner, rows, principal)));
      }
      const taskless = (await this.#taskless(owner)).map((sessionId) => ({ sessionId, owner }));
      left.push(...(await this.#whole(this.#options.sessionRemover.remove(taskless, principal.owner))).left);
      for (const each of this.#options.ofOwners) await each.purge(owner);
    });
    return pending(left);
  }

  /** Deletes some of an owner's tasks and their sessions. Every task of such a session goes, also one of another owner. */
  async #ofOwner(owner: string, some: readonly TaskRow[], principal: Principal): Promise<readonly UndeletedFolder[]> {
    const { model, canceller, taskRemover, sessionRemover } = this.#options;
    const tasks = new Map(some.map((row) => [row.task_id, row]));
    const sessions: SessionWithoutTasks[] = [];
    for (const sessionId of new Set(some.map(({ session_id: id }) => id))) {
      const session = await model.session(sessionId);
      if (session?.owner !== owner) continue;
      sessions.push({ sessionId, owner, name: session.session_name });
      if (session.tasks > 1)
        for (const row of await this.#rows({ owner: undefined, sessionId })) tasks.set(row.task_id, row);
    }
    for (const { task_id: id, status } of tasks.values())
      if (!isEnded(status)) await canceller.cancel(id, { ...principal, seesAll: true });
    await this.#whole(taskRemover.remove([...tasks.values()], principal.owner));
    return (await this.#whole(sessionRemover.remove(sessions, principal.owner))).left;
  }

  /** An owner's sessions that have no task: imported ones, and those whose tasks were deleted one by one. */
  async #taskless(owner: string): Promise<string[]> {
    const { broker, model, records } = this.#options;
    const found: string[] = [];
    for (const subject of await subjectsOf(broker, STREAM.transcripts, SUBJECT.transcript('*'))) {
      const sessionId = subject.slice(subject.lastIndexOf('.') + 1);
      if ((await model.session(sessionId)) !== undefined) continue;
      if ((await records.ownerOf(sessionId)) === owner) found.push(sessionId);
    }
    return found;
  }

  async #rows(filter: TaskFilter): Promise<TaskRow[]> {
    const found: TaskRow[] = [];
    let before: string | undefined;
    do {
      const page = await this.#options.model.list(filter, PAGE, before);
      found.push(...page.rows);
      before = page.next;
    } while (before !== undefined);
    return found;
  }

  async #session(
    sessionId: string,
    rows: readonly TaskRow[],
    owner: string,
    by: Principal,
  ): Promise<readonly UndeletedFolder[]> {
    await this.#whole(this.#options.taskRemover.remove(rows, by.owner));
    const session = { sessionId, owner, name: rows.at(-1)?.session_name };
    return (await this.#whole(this.#options.sessionRemover.remove([session], by.owner))).left;
  }

  async #tasks<T extends DeletableTask>(
    tasks: readonly T[],
    by: Principal,
  ): Promise<DeletionResult<T> & { readonly left: readonly UndeletedFolder[] }> {
    const removal = await this.#options.taskRemover.remove(tasks, by.owner);
    const sessions = (await this.#empty(removal.removed)).map(
      ({ session_id: sessionId, session_name: name, owner }) => ({ sessionId, owner, name }),
    );
    // A session that a task was taken into meanwhile goes on.
    const { left } = await this.#options.sessionRemover.remove(sessions, by.owner);
    return { ...removal, left };
  }

  /** A task of each session that is left without tasks: it would still tell what they were asked and answered. An imported one stays. */
  async #empty(tasks: readonly DeletableTask[]): Promise<DeletableTask[]> {
    const { model, records } = this.#options;
    const bySession = new Map(tasks.map((task) => [task.session_id, task]));
    const empty: DeletableTask[] = [];
    await Promise.all(
      [...bySession].map(async ([id, task]) => {
        if ((await model.session(id)) === undefined) empty.push(task);
      }),
    );
    const imported = await records.among(empty.map(({ session_id: id }) => id));
    return empty.filter(({ session_id: id }) => !imported.has(id));
  }

  /** @throws {ApiError} of the first task or session that stays */
  async #whole<R extends { readonly refused: readonly { readonly error: ApiError }[] }>(
    removing: Promise<R>,
  ): Promise<R> {
    const removal = await removing;
    const [refused] = removal.refused;
    if (refused !== undefined) throw refused.error;
    return removal;
  }

  /** @returns undefined: nothing can match. @throws {ApiError} */
  async #filterOf(query: TasksDeleteQuery, principal: Principal): Promise<TaskFilter | undefined> {
    const { limit: _limit, cursor: _cursor, dry_run: _dryRun, ...filters } = query;
    if (Object.values(filters).every((each) => each === undefined))
      throw invalid([{ field: 'query', message: 'names no filter. Give one, such as `ended_before`.' }]);
    const owner = listedOwner(principal, query.owner);
    const asked = query.session_id;
    const session =
      asked === undefined ? undefined : await withApiErrors(() => this.#options.names.find(asked, principal.owner));
    if (asked !== undefined && session === undefined) return undefined;
    return { ...filterOf(query, owner), ended: true, sessionId: session?.sessionId };
  }

  async #hasTranscript(sessionId: string): Promise<boolean> {
    const subject = SUBJECT.transcript(sessionId);
    return (await lastBySubject(this.#options.broker, STREAM.transcripts, subject)) !== undefined;
  }
}
