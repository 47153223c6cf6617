import type { Session } from '../../contracts/sessions/sessions.js';
import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
import type { RetentionAges } from '../../contracts/retention/retention.js';
import type { Broker } from '../broker/connect.js';
import { lastBySubject, subjectsOf } from '../broker/read.js';
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

/** A session of several tasks never becomes one of a single task, which would go with that task. */
const MIN_KEPT = 2;

/**
 * Pure: whether an old task may go by itself. A session keeps its newest tasks, so that it stays known, unless it is that of one task without a
 * name. Nothing of a session goes while a task of it is open.
 * @param going tasks of the session that go already.
 */
export function isDeletable(
  { task_id: id }: Pick<TaskRow, 'task_id'>,
  session: Session | undefined,
  going: number,
): boolean {
  if (session === undefined) return true;
  if (session.open > 0) return false;
  const isOneOff = session.tasks === 1 && session.session_name === undefined && session.agent_id === undefined;
  return isOneOff || (session.tasks - going > MIN_KEPT && id !== session.last_task_id);
}

/** Finds what is older than it may be. Deletes nothing. */
export class RetentionCandidates {
  readonly #options: RetentionCandidatesOptions;

  constructor(options: RetentionCandidatesOptions) {
    this.#options = options;
  }

  /** Those that ended first come first. @param owner undefined: of all owners. */
  tasks(owner: string | undefined, { tasks_s: age }: RetentionAges, limit: number): Promise<TaskRow[]> {
    if (age === undefined) return Promise.resolve([]);
    return this.#options.model.endedUntil({ owner, before: this.#ago(age) }, limit, isDeletable);
  }

  /** Those that were not used for longest come first. @param owner undefined: of all owners. */
  sessions(owner: string | undefined, { sessions_s: age }: RetentionAges, limit: number): Promise<OldSession[]> {
    if (age === undefined) return Promise.resolve([]);
    return this.idle(owner, age, limit);
  }

  /** Sessions that nobody used for so long. Those of agents that are there belong to the agents. */
  idle(owner: string | undefined, seconds: number, limit: number): Promise<OldSession[]> {
    const { model, registry } = this.#options;
    return model.idleSessions({ owner, before: this.#ago(seconds) }, limit, ({ agent_id: agent }) => {
      return agent === undefined || registry.find(agent) === undefined;
    });
  }

  /** Imported sessions, and sessions whose tasks nobody knows any more. @throws {BrokerError} */
  async taskless({ sessions_s: age }: RetentionAges, limit: number): Promise<OldSession[]> {
    const { broker, model, records } = this.#options;
    const found: OldSession[] = [];
    if (age === undefined) return found;
    const before = this.#ago(age);
    for (const subject of await subjectsOf(broker, STREAM.transcripts, SUBJECT.transcript('*'))) {
      if (found.length >= limit) break;
      const id = subject.slice(subject.lastIndexOf('.') + 1);
      if ((await model.session(id)) !== undefined) continue;
      const last = await lastBySubject(broker, STREAM.transcripts, subject);
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
