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
  /** What hosts of workers have still to remove. */
  readonly left: readonly UndeletedFolder[];
}

/** As of tasks. */
const AT_ONCE = 32;

/** Deletes sessions whose tasks are deleted: transcripts, records and names. Workers remove the folders when they hear SESSION_DELETED, and say what they could not remove. */
export class SessionDeletion {
  readonly #options: SessionDeletionOptions;
  readonly #batcher: Batcher;

  constructor(options: SessionDeletionOptions) {
    this.#options = options;
    this.#batcher = new Batcher(options.broker.publisher);
  }

  /**
   * @param by the owner of the token that asked.
   * @returns the sessions that stay (not_ended), as a task was taken in meanwhile. @throws {BrokerError}
   */
  async remove(sessions: readonly SessionWithoutTasks[], by: string): Promise<SessionDeletionResult> {
    const { broker, blobs, records, names, approvalRules } = this.#options;
    const removed: SessionWithoutTasks[] = [];
    const refused: { session: SessionWithoutTasks; error: ApiError }[] = [];
    await inParallel(sessions, AT_ONCE, async (session) => {
      const { sessionId } = session;
      const standing = await this.#deleteTranscript(sessionId);
      if (standing === undefined) removed.push(session);
      else
        refused.push({
          session,
          error: new ApiError('not_ended', `Task ${standing} of the session has just been taken in`),
        });
    });
    const ids = removed.map(({ sessionId }) => sessionId);
    await blobs.deleteOf(['transcript'], new Set(ids));
    for (const [owner, some] of byOwner(removed)) await approvalRules.removeOfSessions(some, owner);
    const recorded = await records.among(ids);
    await inParallel(removed, AT_ONCE, async ({ sessionId, owner, name: known }) => {
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
   * Deletes the transcript as it stood before. What a task writes that is taken in meanwhile stays, and so do the session's folder, record and name.
   * @returns the id of such a task. @throws {BrokerError}
   */
  async #deleteTranscript(sessionId: string): Promise<string | undefined> {
    const { broker } = this.#options;
    // In this order: what a later task writes comes after it.
    const { lastSeq } = await streamPosition(broker, STREAM.transcripts);
    const standing = await this.#standing(sessionId);
    if (standing !== undefined) return standing;
    await purge(broker, STREAM.transcripts, SUBJECT.transcript(sessionId), lastSeq);
    await purge(broker, STREAM.transcripts, SUBJECT.transcriptSub(sessionId, '>'), lastSeq);
    return this.#standing(sessionId);
  }

  /** The id of a task that runs or waits in the session. Another API may have taken it in a moment ago. @throws {BrokerError} */
  async #standing(sessionId: string): Promise<string | undefined> {
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
