import type { LeftOnHost } from '../../../contracts/deletion.js';
import { HEADER, STREAM, SUBJECT } from '../../../contracts/names.js';
import type { Blobs } from '../../broker/blobs.js';
import type { Broker } from '../../broker/connect.js';
import { eventPublication, newEvent } from '../../broker/events.js';
import { purge } from '../../broker/purge.js';
import { lastBySubject } from '../../broker/read.js';
import { ApiError } from '../api-error.js';
import type { ApprovalRules } from '../approvals/rules.js';
import type { SessionNames } from '../sessions/names.js';
import type { SessionRecords } from '../sessions/records.js';
import { inParallel } from './in-parallel.js';
import { leftOnHosts } from './left-on-hosts.js';

export interface SessionRemoverOptions {
  readonly broker: Broker;
  readonly blobs: Blobs;
  readonly records: Pick<SessionRecords, 'find' | 'remove'>;
  readonly names: Pick<SessionNames, 'release'>;
  readonly approvalRules: Pick<ApprovalRules, 'removeOfSession'>;
}

/** A session without tasks. */
export interface EmptySession {
  readonly sessionId: string;
  readonly owner: string;
  readonly name?: string | undefined;
}

export interface SessionRemoval {
  readonly refused: readonly { readonly session: EmptySession; readonly error: ApiError }[];
  /** What hosts of workers have still to remove. */
  readonly left: readonly LeftOnHost[];
}

const AT_ONCE = 8;

/** Deletes sessions whose tasks are deleted: transcripts, records and names. Workers remove the folders when they hear SESSION_DELETED, and say what they could not remove. */
export class SessionRemover {
  readonly #options: SessionRemoverOptions;

  constructor(options: SessionRemoverOptions) {
    this.#options = options;
  }

  /**
   * @param by the owner of the token that asked.
   * @returns the sessions that stay (not_ended), as a task was taken in meanwhile. @throws {BrokerError}
   */
  async remove(sessions: readonly EmptySession[], by: string): Promise<SessionRemoval> {
    const { broker, blobs, records, names, approvalRules } = this.#options;
    const named = new Map<string, string | undefined>();
    const refused: { session: EmptySession; error: ApiError }[] = [];
    await inParallel(sessions, AT_ONCE, async (session) => {
      const { sessionId, name } = session;
      const standing = await this.standing(sessionId);
      if (standing !== undefined) {
        const error = new ApiError('not_ended', `Task ${standing} of the session has just been taken in`);
        refused.push({ session, error });
        return;
      }
      await purge(broker, STREAM.transcripts, SUBJECT.transcript(sessionId));
      await purge(broker, STREAM.transcripts, SUBJECT.transcriptSub(sessionId, '>'));
      named.set(sessionId, name ?? (await records.find(sessionId))?.session_name);
    });
    await blobs.deleteOf(['transcript'], new Set(named.keys()));
    const removed = sessions.filter(({ sessionId }) => named.has(sessionId));
    await inParallel(removed, AT_ONCE, async ({ sessionId, owner }) => {
      await records.remove(sessionId);
      await approvalRules.removeOfSession(sessionId, owner);
      const name = named.get(sessionId);
      if (name !== undefined) await names.release(name, owner, sessionId);
      const event = newEvent(broker.clock, 'SESSION_DELETED', { session_id: sessionId, owner, by });
      await broker.publisher.publish(eventPublication(event, SUBJECT.sessionDeleted(sessionId)));
    });
    return { refused, left: await leftOnHosts(broker, [...named.keys()]) };
  }

  /** The id of a task that runs or waits in the session. Another API may have taken it in a moment ago. @throws {BrokerError} */
  async standing(sessionId: string): Promise<string | undefined> {
    const stored = await lastBySubject(this.#options.broker, STREAM.commands, SUBJECT.session(sessionId));
    return stored?.header(HEADER.taskId);
  }
}
