import type { Session } from '../../contracts/sessions/sessions.js';
import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
import type { RetentionAges } from '../../contracts/retention/retention.js';
import type { Broker } from '../broker/connect.js';
import { lastBySubject } from '../broker/read.js';
import { tasklessSessions } from './taskless-sessions.js';
import type { TaskRow } from '../store/projection.js';
import type { ReadModel } from '../store/read-model.js';
import type { AgentRegistry } from '../agents/registry.js';
import type { SessionRecords } from '../sessions/records.js';

export interface RetentionCandidatesOptions {
  readonly broker: Broker;
  readonly model: Pick<ReadModel, 'endedUntil' | 'idleSessions' | 'session'>;
  readonly registry: Pick<AgentRegistry, 'find'>;
  readonly records: Pick<SessionRecords, 'ownerOf'>;
}

export type OldSession = Pick<Session, 'session_id' | 'owner' | 'updated_at'>;

/** A session keeps at least two of its tasks: with one it would look like a one-off session, which is deleted with its task. */
const MIN_KEPT = 2;

/**
 * Pure. Whether retention may delete an old task without its session. No task is deleted while its session has an open task. A session keeps
 * its newest tasks, so that it stays listed; an unnamed session of one task is deleted with the task.
 * @param deleted the number of the session's tasks that the same run already deletes
 */
export function isDeletable(
  { task_id: id }: Pick<TaskRow, 'task_id'>,
  session: Session | undefined,
  deleted: number,
): boolean {
  if (session === undefined) return true;
  if (session.open > 0) return false;
  const isOneOff = session.tasks === 1 && session.session_name === undefined && session.agent_id === undefined;
  return isOneOff || (session.tasks - deleted > MIN_KEPT && id !== session.last_task_id);
}

/** Finds the tasks and sessions that are older than their retention ages. Deletes nothing. */
export class RetentionCandidates {
  readonly #options: RetentionCandidatesOptions;

  constructor(options: RetentionCandidatesOptions) {
    this.#options = options;
  }

  /** Tasks, in the order in which they ended. @param owner undefined: all owners */
  tasks(owner: string | undefined, { tasks_s: age }: RetentionAges, limit: number): Promise<TaskRow[]> {
    if (age === undefined) return Promise.resolve([]);
    return this.#options.model.endedUntil({ owner, before: this.#ago(age) }, limit, isDeletable);
  }

  /** Sessions, least recently used first. @param owner undefined: all owners */
  sessions(owner: string | undefined, { sessions_s: age }: RetentionAges, limit: number): Promise<OldSession[]> {
    if (age === undefined) return Promise.resolve([]);
    return this.idle(owner, age, limit);
  }

  /** Sessions that have been idle for `seconds`, without the sessions of registered agents. @param owner undefined: all owners */
  idle(owner: string | undefined, seconds: number, limit: number): Promise<OldSession[]> {
    const { model, registry } = this.#options;
    return model.idleSessions({ owner, before: this.#ago(seconds) }, limit, ({ agent_id: agent }) => {
      return agent === undefined || registry.find(agent) === undefined;
    });
  }

  /** Old sessions without tasks. A session without a record has the owner `''`. @throws {BrokerError} */
  async taskless({ sessions_s: age }: RetentionAges, limit: number): Promise<OldSession[]> {
    const { broker, model, records } = this.#options;
    const found: OldSession[] = [];
    if (age === undefined) return found;
    const before = this.#ago(age);
    for await (const id of tasklessSessions(broker, model)) {
      if (found.length >= limit) break;
      const last = await lastBySubject(broker, STREAM.transcripts, SUBJECT.transcript(id));
      const updated = last === undefined ? undefined : new Date(last.time()).toISOString();
      if (updated === undefined || updated >= before) continue;
      found.push({ session_id: id, owner: (await records.ownerOf(id)) ?? '', updated_at: updated });
    }
    return found;
  }

  #ago(seconds: number): string {
    return new Date(this.#options.broker.clock.now() - seconds * 1_000).toISOString();
  }
}
