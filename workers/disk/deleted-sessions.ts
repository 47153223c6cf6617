import type { Msg } from '@nats-io/transport-node';
import type { Logger } from 'pino';
import { check } from '../../contracts/wire/check.js';
import { SessionsDeletedRequest, type SessionsDeletedAnswer } from '../../contracts/retention/deletion.js';
import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
import type { LeftoverFolder } from '../../contracts/tasks/workers.js';
import type { Broker } from '../../src/broker/connect.js';
import { lastBySubject } from '../../src/broker/read.js';
import { parseJson } from '../../src/json.js';
import { retryWhileUnavailable } from '../../src/broker/until-known.js';
import type { Folders } from '../claude/folders.js';
import type { Worktrees } from '../claude/worktrees.js';
import type { LeftoverRemoval } from './leftover-removal.js';

/** How much the clocks of the host and the broker may differ. */
const SKEW_MS = 2_000;

/**
 * Whether a session was deleted after its folder was created. If not, the folder may belong to a new session with the same id.
 * @throws {BrokerError}
 */
async function madeBeforeDeletion(broker: Broker, sessionId: string, madeAt: number): Promise<boolean> {
  // The file system does not record creation times.
  if (madeAt === 0) return false;
  const deleted = await lastBySubject(broker, STREAM.events, SUBJECT.sessionDeleted(sessionId));
  return deleted !== undefined && madeAt + SKEW_MS < deleted.time();
}

export interface DeletedSessionsOptions {
  readonly broker: Broker;
  /** The worker's name in the subject of requests. */
  readonly process: string;
  readonly folders: Pick<Folders, 'sessions' | 'setAside' | 'workspace' | 'deleted' | 'removeDeleted'>;
  readonly worktrees: Pick<Worktrees, 'sessions' | 'setAside'>;
  readonly removals: Pick<LeftoverRemoval, 'remove' | 'left'>;
  readonly log: Logger;
}

/**
 * Removes the working folders and worktrees of deleted sessions. At the start, it also removes those of sessions that were deleted before, and
 * those that could not be removed then. Answers requests to remove sessions with the files that are left.
 */
export class DeletedSessions {
  readonly #options: DeletedSessionsOptions;
  readonly #working = new Set<Promise<void>>();
  readonly #deletion = new Map<string, Promise<void>>();
  #stopping = false;
  readonly #unsubscribe: (() => void)[] = [];

  constructor(options: DeletedSessionsOptions) {
    this.#options = options;
  }

  start(): void {
    this.#subscribe(SUBJECT.sessionDeleted('*'), async ({ subject }) => {
      await this.#delete(subject.split('.')[3] ?? '');
    });
    this.#subscribe(SUBJECT.deletedSessions(this.#options.process), (message) => this.#answer(message));
    this.#track(this.#catchUp());
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    await Promise.all(this.#working);
  }

  #subscribe(subject: string, handle: (message: Msg) => Promise<void>): void {
    const subscription = this.#options.broker.nc.subscribe(subject, {
      callback: (error, message) => {
        if (error === null) this.#track(handle(message));
        else this.#options.log.warn({ err: error, subject }, 'cannot receive deletions of sessions');
      },
    });
    this.#unsubscribe.push(() => subscription.unsubscribe());
  }

  /**
   * The working folder of a session, without files of a deleted session with the same id.
   * @throws {NotRemoved | BrokerError} or the signal's reason
   */
  workspace(sessionId: string, signal: AbortSignal): Promise<string> {
    const { broker, folders } = this.#options;
    const isStale = (madeAt: number): Promise<boolean> =>
      retryWhileUnavailable(broker, signal, () => madeBeforeDeletion(broker, sessionId, madeAt));
    return folders.workspace(sessionId, isStale, () => this.#delete(sessionId));
  }

  /** @returns the files that could not be removed yet */
  async #delete(sessionId: string): Promise<LeftoverFolder[]> {
    const deletion =
      this.#deletion.get(sessionId) ?? this.#remove(sessionId).finally(() => this.#deletion.delete(sessionId));
    this.#deletion.set(sessionId, deletion);
    await deletion;
    return this.#options.removals.left.filter(({ session_id: id }) => id === sessionId);
  }

  async #remove(sessionId: string): Promise<void> {
    const { folders, worktrees, removals } = this.#options;
    const own = await folders.setAside(sessionId);
    for (const { path, remove } of [...(own === undefined ? [] : [own]), ...(await worktrees.setAside(sessionId))])
      await removals.remove({ session_id: sessionId, path }, remove);
  }

  async #answer(message: Msg): Promise<void> {
    const request = check(SessionsDeletedRequest, parseJson(message.data));
    if (!request.ok) return;
    const left: SessionsDeletedAnswer['undeleted'] = [];
    for (const sessionId of request.value.session_ids)
      for (const { path, reason } of await this.#delete(sessionId)) left.push({ session_id: sessionId, path, reason });
    message.respond(JSON.stringify({ undeleted: left } satisfies SessionsDeletedAnswer));
  }

  async #catchUp(): Promise<void> {
    const { broker, folders, worktrees, removals } = this.#options;
    for (const name of await folders.deleted()) {
      const [sessionId = ''] = name.split('.');
      await removals.remove({ session_id: sessionId, path: name }, () => folders.removeDeleted(name));
    }
    for (const { sessionId, madeAt } of [...(await folders.sessions()), ...(await worktrees.sessions())]) {
      if (this.#stopping) return;
      if (await madeBeforeDeletion(broker, sessionId, madeAt)) await this.#delete(sessionId);
    }
  }

  #track(work: Promise<void>): void {
    const working = work
      .catch((error: unknown) =>
        this.#options.log.warn({ err: error }, 'could not remove the folder of a deleted session'),
      )
      .finally(() => this.#working.delete(working));
    this.#working.add(working);
  }
}
