import type { UndeletedFolder } from '../../../contracts/retention/deletion.js';
import { HEADER, STREAM, SUBJECT } from '../../../contracts/wire/names.js';
import type { Blobs } from '../../broker/blobs.js';
import type { Broker } from '../../broker/connect.js';
import { eventPublication, newEvent } from '../../broker/events.js';
import { purge } from '../../broker/purge.js';
import { hasAny, lastBySubject, streamPosition } from '../../broker/read.js';
import { Batcher } from '../../broker/batcher.js';
import { ApiError } from '../../errors/api-error.js';
import type { ApprovalRules } from '../../tasks/approvals/rules.js';
import type { SessionNames } from '../../sessions/names.js';
import type { SessionRecords } from '../../sessions/records.js';
import { inParallel } from './in-parallel.js';
import { removeFolders } from './worker-folders.js';

export interface SessionDeletionOptions {
  readonly broker: Broker;
  readonly blobs: Blobs;
  readonly records: Pick<SessionRecords, 'among' | 'find' | 'remove'>;
  readonly names: Pick<SessionNames, 'release'>;
  readonly approvalRules: Pick<ApprovalRules, 'removeOfSessions'>;
}

/** A session without tasks. */
export interface SessionWithoutTasks {
  readonly sessionId: string;
  readonly owner: string;
  readonly name?: string | undefined;
}

export interface SessionDeletionResult {
  readonly refused: readonly { readonly session: SessionWithoutTasks; readonly error: ApiError }[];
  /** The folders that workers have not deleted yet. */
  readonly left: readonly UndeletedFolder[];
}

/** Same as for tasks. */
const CONCURRENCY = 32;

/** Deletes the transcripts, records, names and approval rules of sessions whose tasks are deleted. Workers delete the working folders after SESSION_DELETED. */
export class SessionDeletion {
  readonly #options: SessionDeletionOptions;
  readonly #batcher: Batcher;

  constructor(options: SessionDeletionOptions) {
    this.#options = options;
    this.#batcher = new Batcher(options.broker.publisher);
  }

  /**
   * @param by the owner of the token that requested the deletion
   * @returns the sessions that were refused (not_ended) because they got a new task meanwhile. @throws {BrokerError}
   */
  async remove(sessions: readonly SessionWithoutTasks[], by: string): Promise<SessionDeletionResult> {
    const { broker, blobs, records, names, approvalRules } = this.#options;
    const removed: SessionWithoutTasks[] = [];
    const refused: { session: SessionWithoutTasks; error: ApiError }[] = [];
    await inParallel(sessions, CONCURRENCY, async (session) => {
      const { sessionId } = session;
      const openTask = await this.#deleteTranscript(sessionId);
      if (openTask === undefined) removed.push(session);
      else
        refused.push({
          session,
          error: new ApiError('not_ended', `Task ${openTask} was added to the session meanwhile`),
        });
    });
    const ids = removed.map(({ sessionId }) => sessionId);
    await blobs.deleteOf(['transcript'], new Set(ids));
    for (const [owner, some] of byOwner(removed)) await approvalRules.removeOfSessions(some, owner);
    const recorded = await records.among(ids);
    await inParallel(removed, CONCURRENCY, async ({ sessionId, owner, name: known }) => {
      const record = recorded.has(sessionId) ? await records.find(sessionId) : undefined;
      if (recorded.has(sessionId)) await records.remove(sessionId);
      const name = known ?? record?.session_name;
      if (name !== undefined) await names.release(name, owner, sessionId);
    });
    await Promise.all(
      removed.map(({ sessionId, owner }) => {
        const event = newEvent(broker.clock, 'SESSION_DELETED', { session_id: sessionId, owner, by });
        return this.#batcher.publish(eventPublication(event, SUBJECT.sessionDeleted(sessionId)));
      }),
    );
    return { refused, left: await removeFolders(broker, ids) };
  }

  /**
   * Deletes the transcript up to now, unless the session has an open task. The entries of a task that is added meanwhile are kept.
   * @returns the id of an open task. The caller then keeps the session's folder, record and name. @throws {BrokerError}
   */
  async #deleteTranscript(sessionId: string): Promise<string | undefined> {
    const { broker } = this.#options;
    // Read the position first, so that the entries of a later task come after it.
    const { lastSeq } = await streamPosition(broker, STREAM.transcripts);
    const openTask = await this.#openTask(sessionId);
    if (openTask !== undefined) return openTask;
    await purge(broker, STREAM.transcripts, SUBJECT.transcript(sessionId), lastSeq);
    await purge(broker, STREAM.transcripts, SUBJECT.transcriptSub(sessionId, '>'), lastSeq);
    return this.#openTask(sessionId);
  }

  /** The id of a task that runs or waits in the session. Asks the broker, as another API may just have accepted it. @throws {BrokerError} */
  async #openTask(sessionId: string): Promise<string | undefined> {
    const { broker } = this.#options;
    const filter = SUBJECT.session(sessionId);
    if (!(await hasAny(broker, STREAM.commands, filter))) return undefined;
    return (await lastBySubject(broker, STREAM.commands, filter))?.header(HEADER.taskId);
  }
}

function byOwner(sessions: readonly SessionWithoutTasks[]): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  for (const { sessionId, owner } of sessions) found.set(owner, (found.get(owner) ?? new Set()).add(sessionId));
  return found;
}
