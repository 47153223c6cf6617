import type { Logger } from 'pino';
import { HEADER, STREAM, SUBJECT } from '../../contracts/names.js';
import { isEnded } from '../../contracts/states.js';
import type { Blobs } from '../broker/blobs.js';
import type { Broker } from '../broker/connect.js';
import { eventPublication, newEvent } from '../broker/events.js';
import { asBrokerError, lastBySubject, subjectsOf } from '../broker/read.js';
import { placeOf } from '../broker/session-queue.js';
import type { TaskRow } from '../events/projection.js';
import type { ReadModel } from '../store/read-model.js';
import type { AgentRemover } from './agents/removal.js';
import type { Conversations } from './conversations/conversations.js';
import { ApiError, guarded } from './api-error.js';
import { maySee, type Principal } from './principal.js';
import type { SessionNames } from './sessions/names.js';
import type { SessionRecords } from './sessions/records.js';
import type { Canceller } from './steer/cancel.js';
import { lastStateOf } from './task-state.js';
import { withdraw } from './steer/withdraw.js';
import type { TokenRegistry } from './tokens/registry.js';
import type { TaskReader } from './task-reader.js';

export interface DeleterOptions {
  readonly broker: Broker;
  readonly blobs: Blobs;
  readonly tasks: Pick<TaskReader, 'task'>;
  readonly model: Pick<ReadModel, 'list' | 'remove' | 'session'>;
  readonly canceller: Pick<Canceller, 'cancel'>;
  readonly tokens: Pick<TokenRegistry, 'list' | 'revoke'>;
  readonly records: Pick<SessionRecords, 'find' | 'ownerOf' | 'remove'>;
  readonly names: Pick<SessionNames, 'find' | 'release'>;
  /** What else there is of owners. */
  readonly ofOwners: readonly { purge(owner: string): Promise<void> }[];
  readonly agents: Pick<AgentRemover, 'owner'>;
  readonly conversations: Pick<Conversations, 'owner'>;
  readonly log: Logger;
}

const PAGE = 500;

type Identity = Pick<TaskRow, 'task_id' | 'session_id' | 'session_name' | 'owner'>;

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
  async task(id: string, principal: Principal): Promise<void> {
    const task = await this.#options.tasks.task(id, principal);
    await guarded(async () => {
      await this.#task(task, principal);
      await this.#emptySession(task, principal);
    });
  }

  /** With all its tasks. @param asked its UUID or name. @throws {ApiError} not_ended when a task of it is open. */
  async session(asked: string, principal: Principal): Promise<void> {
    const sessionId = (await guarded(() => this.#options.names.find(asked, principal.owner)))?.sessionId;
    if (sessionId === undefined) throw new ApiError('session_not_found', `There is no session ${asked}`);
    const rows = await this.#rows({ owner: undefined, sessionId });
    const kept = await guarded(() => this.#hasTranscript(sessionId));
    const owner = rows.at(-1)?.owner ?? (await guarded(() => this.#options.records.ownerOf(sessionId)));
    // Of a session whose tasks are not known any more, nobody knows whose it is.
    if (owner === undefined ? !kept || !principal.seesAll : !maySee(principal, owner))
      throw new ApiError('session_not_found', `There is no session ${asked}`);
    const open = rows.find(({ status }) => !isEnded(status));
    if (open !== undefined)
      throw new ApiError('not_ended', `Task ${open.task_id} of the session is ${open.status}, so the session stays`);
    await guarded(() => this.#session(sessionId, rows, owner ?? principal.owner, principal));
  }

  /** All that is an owner's, its tokens first; what is open is cancelled. @throws {ApiError} forbidden */
  async owner(owner: string, principal: Principal): Promise<void> {
    if (!maySee(principal, owner))
      throw new ApiError('forbidden', 'Another owner can only be deleted with a token that sees all owners');
    for (const { token_id: id, owner: holder } of this.#options.tokens.list(principal))
      if (holder === owner) await this.#options.tokens.revoke(id, principal);
    await guarded(async () => {
      // Before its tasks: an agent would go on making them.
      await this.#options.conversations.owner(owner, { ...principal, seesAll: true });
      await this.#options.agents.owner(owner, principal.owner);
      for (;;) {
        const rows = await this.#rows({ owner });
        if (rows.length === 0) break;
        for (const { task_id: id, status } of rows)
          if (!isEnded(status)) await this.#options.canceller.cancel(id, { ...principal, seesAll: true });
        for (const sessionId of new Set(rows.map(({ session_id: id }) => id))) {
          const tasks = rows.filter(({ session_id: id }) => id === sessionId);
          await this.#session(sessionId, tasks, owner, principal);
        }
      }
      for (const sessionId of await this.#taskless(owner)) await this.#session(sessionId, [], owner, principal);
      for (const each of this.#options.ofOwners) await each.purge(owner);
    });
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

  async #rows(filter: { owner: string | undefined; sessionId?: string }): Promise<TaskRow[]> {
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
    named = rows.at(-1)?.session_name,
  ): Promise<void> {
    for (const row of rows) await this.#task(row, by);
    await this.#refuseStanding(sessionId);
    await this.#purge(STREAM.transcripts, SUBJECT.transcript(sessionId));
    await this.#purge(STREAM.transcripts, SUBJECT.transcriptSub(sessionId, '>'));
    await this.#options.blobs.deleteBelow(`transcript/${sessionId}/`);
    const { records, names } = this.#options;
    const name = named ?? (await records.find(sessionId))?.session_name;
    await records.remove(sessionId);
    if (name !== undefined) await names.release(name, owner, sessionId);
    const event = newEvent(this.#options.broker.clock, 'SESSION_DELETED', {
      session_id: sessionId,
      owner,
      by: by.owner,
    });
    await this.#options.broker.publisher.publish(eventPublication(event, SUBJECT.sessionDeleted(sessionId)));
  }

  /** Deletes the session of a deleted task, which would still tell what the task was asked and answered. */
  async #emptySession({ session_id: sessionId, session_name: name, owner }: Identity, by: Principal): Promise<void> {
    const { broker, model, records } = this.#options;
    const others = await model.list({ owner: undefined, sessionId }, 1);
    if (others.rows.length > 0 || (await records.find(sessionId)) !== undefined) return;
    // Another API may have just taken a task in: the session goes on.
    if ((await lastBySubject(broker, STREAM.commands, SUBJECT.session(sessionId))) !== undefined) return;
    await this.#session(sessionId, [], owner, by, name);
  }

  async #task(task: Identity, by: Principal): Promise<void> {
    const { broker, blobs, model, log } = this.#options;
    const { task_id: id, session_id: sessionId, owner } = task;
    const { status } = await lastStateOf(broker, id);
    if (!isEnded(status)) throw new ApiError('not_ended', `Task ${id} is ${status}`);
    // Without its outcome, a run that still stands in the queue would be run again.
    await withdraw(broker, task, log);
    if ((await placeOf(broker, { taskId: id, sessionId })) !== undefined)
      throw new ApiError('conflict', `Task ${id} could not be taken off the queue`);
    await this.#purge(STREAM.ended, SUBJECT.ended(id));
    await this.#purge(STREAM.dead, SUBJECT.dead('*', id));
    for (const name of [`command/${id}`, `dead/${id}`]) await blobs.delete(name);
    await blobs.deleteBelow(`event/${id}/`);
    await this.#purge(STREAM.events, SUBJECT.taskAll(id));
    await this.#purge(STREAM.outcomes, SUBJECT.outcome(id, '*'));
    const event = newEvent(this.#options.broker.clock, 'TASK_DELETED', {
      task_id: id,
      session_id: sessionId,
      owner,
      by: by.owner,
    });
    await broker.publisher.publish(eventPublication(event, SUBJECT.taskDeleted(id)));
    // The other APIs hear of it; here it is gone when it is said to be.
    await model.remove(id);
  }

  /** Another API may have taken a task in that this one doesn't know of yet: it would run on without its transcript. */
  async #refuseStanding(sessionId: string): Promise<void> {
    const standing = await lastBySubject(this.#options.broker, STREAM.commands, SUBJECT.session(sessionId));
    if (standing === undefined) return;
    throw new ApiError('not_ended', `Task ${standing.header(HEADER.taskId)} of the session has just been taken in`);
  }

  async #purge(stream: string, filter: string): Promise<void> {
    try {
      await this.#options.broker.jsm.streams.purge(stream, { filter });
    } catch (error) {
      throw asBrokerError(error, `deleting ${filter}`);
    }
  }

  async #hasTranscript(sessionId: string): Promise<boolean> {
    const subject = SUBJECT.transcript(sessionId);
    return (await lastBySubject(this.#options.broker, STREAM.transcripts, subject)) !== undefined;
  }
}
