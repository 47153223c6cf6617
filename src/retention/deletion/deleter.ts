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
import { lastBySubject } from '../../broker/read.js';
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
import { tasklessSessions } from '../taskless-sessions.js';
import type { DeletableTask, DeletionResult, TaskDeletion } from './task-deletion.js';

export interface DeleterOptions {
  readonly broker: Broker;
  readonly tasks: Pick<TaskReader, 'task'>;
  readonly model: Pick<ReadModel, 'list' | 'session'>;
  readonly taskDeletion: Pick<TaskDeletion, 'remove'>;
  readonly sessionDeletion: Pick<SessionDeletion, 'remove'>;
  readonly canceller: Pick<Canceller, 'cancel'>;
  readonly tokens: Pick<TokenRegistry, 'list' | 'revoke'>;
  readonly records: Pick<SessionRecords, 'among' | 'ownerOf'>;
  readonly names: Pick<SessionNames, 'find'>;
  /** The stores of records that belong to owners. */
  readonly ownerRecords: readonly { purge(owner: string): Promise<void> }[];
  readonly agents: Pick<AgentDeletion, 'owner'>;
  readonly conversations: Pick<Conversations, 'owner'>;
}

const PAGE = 500;
const DEFAULT_LIMIT = 200;
const MAX_REPORTED = 100;

/** The folders that workers have not deleted yet. Undefined if the deletion is complete. */
type Deleted = DeletionPending | undefined;

const pending = (left: readonly UndeletedFolder[]): Deleted =>
  left.length === 0 ? undefined : { undeleted: left.slice(0, MAX_REPORTED) };

/**
 * Deletes tasks, sessions and owners with all their data: events, commands, dead letters, transcripts, bodies, agents and messages. The audit is kept.
 * The event of a deletion is published last, so that an interrupted deletion can be repeated.
 */
export class Deleter {
  readonly #options: DeleterOptions;

  constructor(options: DeleterOptions) {
    this.#options = options;
  }

  /** Deletes an ended task, and its session if that is neither imported nor has another task. @throws {ApiError} not_ended, not_found */
  async task(id: string, principal: Principal): Promise<Deleted> {
    const task = await this.#options.tasks.task(id, principal);
    return pending((await withApiErrors(() => this.#allOrThrow(this.#tasks([task], principal)))).left);
  }

  /** Deletes a page of the ended tasks that match. Open tasks are kept. @throws {ApiError} */
  async matching(query: TasksDeleteQuery, principal: Principal): Promise<TasksDeleted> {
    const { limit = DEFAULT_LIMIT, cursor, dry_run: dry } = query;
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

  /** Deletes ended tasks, and their sessions that have no more tasks. @throws {BrokerError} */
  async ended(rows: readonly TaskRow[], principal: Principal): Promise<DeletionResult<TaskRow>> {
    return this.#tasks(rows, principal);
  }

  /** Deletes a session with its tasks. @param ref its UUID or name. @throws {ApiError} session_not_found, not_ended if a task is open */
  async session(ref: string, principal: Principal): Promise<Deleted> {
    const sessionId = (await withApiErrors(() => this.#options.names.find(ref, principal.owner)))?.sessionId;
    if (sessionId === undefined) throw new ApiError('session_not_found', `There is no session ${ref}`);
    const rows = await this.#rows({ owner: undefined, sessionId });
    const hasTranscript = await withApiErrors(() => this.#hasTranscript(sessionId));
    const owner = rows.at(-1)?.owner ?? (await withApiErrors(() => this.#options.records.ownerOf(sessionId)));
    // The owner of a session is unknown if it has neither a task nor a record.
    if (owner === undefined ? !hasTranscript || !principal.seesAll : !maySee(principal, owner))
      throw new ApiError('session_not_found', `There is no session ${ref}`);
    const open = rows.find(({ status }) => !isEnded(status));
    if (open !== undefined) throw new ApiError('not_ended', `Task ${open.task_id} of the session is ${open.status}`);
    return pending(await withApiErrors(() => this.#session(sessionId, rows, owner ?? principal.owner, principal)));
  }

  /** Deletes all data of an owner. Revokes the owner's tokens first and cancels open tasks. @throws {ApiError} forbidden */
  async owner(owner: string, principal: Principal): Promise<Deleted> {
    if (!maySee(principal, owner))
      throw new ApiError('forbidden', 'Only a token that sees all owners can delete another owner');
    for (const { token_id: id, owner: holder } of this.#options.tokens.list(principal))
      if (holder === owner) await this.#options.tokens.revoke(id, principal);
    const left: UndeletedFolder[] = [];
    await withApiErrors(async () => {
      // Delete conversations and agents first: they would create more tasks.
      await this.#options.conversations.owner(owner, { ...principal, seesAll: true });
      await this.#options.agents.owner(owner, principal.owner);
      for (;;) {
        const { rows } = await this.#options.model.list({ owner }, PAGE);
        if (rows.length === 0) break;
        left.push(...(await this.#ownerTasks(owner, rows, principal)));
      }
      const taskless = await this.#taskless(owner);
      left.push(...(await this.#allOrThrow(this.#options.sessionDeletion.remove(taskless, principal.owner))).left);
      for (const each of this.#options.ownerRecords) await each.purge(owner);
    });
    return pending(left);
  }

  /** Deletes tasks of an owner with their sessions. All tasks of these sessions are deleted, including tasks of other owners. */
  async #ownerTasks(
    owner: string,
    some: readonly TaskRow[],
    principal: Principal,
  ): Promise<readonly UndeletedFolder[]> {
    const { model, canceller, taskDeletion, sessionDeletion } = this.#options;
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
    await this.#allOrThrow(taskDeletion.remove([...tasks.values()], principal.owner));
    return (await this.#allOrThrow(sessionDeletion.remove(sessions, principal.owner))).left;
  }

  async #taskless(owner: string): Promise<SessionWithoutTasks[]> {
    const { broker, model, records } = this.#options;
    const found: SessionWithoutTasks[] = [];
    for await (const sessionId of tasklessSessions(broker, model))
      if ((await records.ownerOf(sessionId)) === owner) found.push({ sessionId, owner });
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
    await this.#allOrThrow(this.#options.taskDeletion.remove(rows, by.owner));
    const session = { sessionId, owner, name: rows.at(-1)?.session_name };
    return (await this.#allOrThrow(this.#options.sessionDeletion.remove([session], by.owner))).left;
  }

  async #tasks<T extends DeletableTask>(
    tasks: readonly T[],
    by: Principal,
  ): Promise<DeletionResult<T> & { readonly left: readonly UndeletedFolder[] }> {
    const removal = await this.#options.taskDeletion.remove(tasks, by.owner);
    const sessions = (await this.#emptied(removal.removed)).map(
      ({ session_id: sessionId, session_name: name, owner }) => ({ sessionId, owner, name }),
    );
    // A session that got a new task meanwhile is refused and kept.
    const { left } = await this.#options.sessionDeletion.remove(sessions, by.owner);
    return { ...removal, left };
  }

  /** Returns one task of each session that has no more tasks. Imported sessions are kept, so they are not included. */
  async #emptied(tasks: readonly DeletableTask[]): Promise<DeletableTask[]> {
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

  /** @throws {ApiError} the error of the first task or session that was refused */
  async #allOrThrow<R extends { readonly refused: readonly { readonly error: ApiError }[] }>(
    removing: Promise<R>,
  ): Promise<R> {
    const removal = await removing;
    const [refused] = removal.refused;
    if (refused !== undefined) throw refused.error;
    return removal;
  }

  /** @returns undefined if no task can match, because the session does not exist. @throws {ApiError} invalid_request */
  async #filterOf(query: TasksDeleteQuery, principal: Principal): Promise<TaskFilter | undefined> {
    const { limit: _limit, cursor: _cursor, dry_run: _dryRun, ...filters } = query;
    if (Object.values(filters).every((each) => each === undefined))
      throw invalid([{ field: 'query', message: 'has no filter. Add one, such as `ended_before`.' }]);
    const owner = listedOwner(principal, query.owner);
    const ref = query.session_id;
    const session =
      ref === undefined ? undefined : await withApiErrors(() => this.#options.names.find(ref, principal.owner));
    if (ref !== undefined && session === undefined) return undefined;
    return { ...filterOf(query, owner), ended: true, sessionId: session?.sessionId };
  }

  async #hasTranscript(sessionId: string): Promise<boolean> {
    const subject = SUBJECT.transcript(sessionId);
    return (await lastBySubject(this.#options.broker, STREAM.transcripts, subject)) !== undefined;
  }
}
