import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import type { Config } from '../../contracts/config/config.js';
import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
import {
  operatorAges,
  retentionIntervalMs,
  shorter,
  type RetentionAges,
  type RetentionItem,
  type RetentionPreview,
  type RetentionPreviewQuery,
  type RetentionRun,
  type RetentionSet,
  type RetentionView,
} from '../../contracts/retention/retention.js';
import type { Broker } from '../broker/connect.js';
import { isBrokerError } from '../broker/errors.js';
import { asBrokerError, lastBySubject } from '../broker/read.js';
import { readStream } from '../broker/replay.js';
import { ApiError, withApiErrors } from '../errors/api-error.js';
import type { Deleter } from './deletion/deleter.js';
import { pageOfAll } from '../lists/page.js';
import { listedOwner, LOCAL, type Principal } from '../access/principal.js';
import type { RetentionCandidates, OldSession } from './candidates.js';
import type { RetentionRecords } from './records.js';
import { workspaceSizes } from './workspace-sizes.js';

export interface RetentionOptions {
  readonly broker: Broker;
  readonly config: Config;
  readonly candidates: RetentionCandidates;
  readonly records: RetentionRecords;
  readonly deleter: Pick<Deleter, 'ended' | 'session'>;
  /** Whether the read model has caught up with the event stream. */
  readonly isReady: () => boolean;
  readonly log: Logger;
}

/** Limits of one run, so that it does not occupy the broker for long. The next run deletes the rest. */
const MAX_TASKS = 1_000;
const MAX_SESSIONS = 200;
/** The limit of a preview, for each of its lists. */
const MAX_PREVIEWED = 10_000;
/** A session that was used more recently may still be in use, so it is not deleted to free space. */
const MIN_IDLE_S = 3_600;

/**
 * Deletes tasks and sessions by age, and sessions by the size of all transcripts. Only the API that has the lease does so. Deletions can be
 * repeated: if that API dies during one, the next lease holder completes it.
 */
export class Retention {
  readonly #options: RetentionOptions;
  readonly #holder = randomUUID();
  readonly #intervalMs: number;
  readonly #stopping = new AbortController();
  #cancelNext: (() => void) | undefined;
  #running: Promise<unknown> = Promise.resolve();

  constructor(options: RetentionOptions) {
    this.#options = options;
    const { tasks_s: tasks, sessions_s: sessions } = operatorAges(options.config);
    this.#intervalMs = retentionIntervalMs([tasks, sessions]);
  }

  start(): void {
    const { config, broker } = this.#options;
    if (config.KSI_RETENTION === 'off') return;
    this.#cancelNext = broker.clock.after(this.#intervalMs, () => {
      this.#running = this.#runIfLeader().finally(() => (this.#stopping.signal.aborted ? undefined : this.start()));
    });
  }

  /** Resolves when the current run has ended. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#cancelNext?.();
    await this.#running;
  }

  /** The ages that apply to the principal's owner. @throws {ApiError} */
  async show({ owner }: Principal): Promise<RetentionView> {
    const { config, records } = this.#options;
    const operator = operatorAges(config);
    const own = await withApiErrors(() => records.of(owner));
    const { KSI_RETENTION_WORKSPACES_S: workspaces, KSI_RETENTION_TRANSCRIPTS_BYTES: maxBytes } = config;
    return {
      enabled: config.KSI_RETENTION === 'on',
      operator,
      own,
      revision: await withApiErrors(() => records.revision(owner)),
      effective: shorter(operator, own),
      ...(workspaces === 0 ? {} : { workspaces_s: workspaces }),
      transcripts_bytes: await withApiErrors(() => this.#transcriptBytes()),
      ...(maxBytes === 0 ? {} : { transcripts_max_bytes: maxBytes }),
    };
  }

  /** Replaces the ages of the principal's owner. @throws {ApiError} revision_mismatch */
  async set({ revision, ...ages }: RetentionSet, principal: Principal): Promise<RetentionView> {
    await withApiErrors(() => this.#options.records.set(principal.owner, ages, revision));
    return this.show(principal);
  }

  /** A page of the tasks and sessions that a run would delete by the given ages, or else by the effective ones. @throws {ApiError} */
  async preview(query: RetentionPreviewQuery, principal: Principal): Promise<RetentionPreview> {
    const { limit: _limit, cursor: _cursor, owner: requestedOwner, ...given } = query;
    const { candidates, config } = this.#options;
    const owner = listedOwner(principal, requestedOwner);
    return withApiErrors(async () => {
      const own = owner === undefined ? {} : await this.#ownerAges(owner);
      const ages = Object.keys(given).length > 0 ? given : shorter(operatorAges(config), own ?? {});
      const sessions = await candidates.sessions(owner, ages, MAX_PREVIEWED);
      const taskless = (await candidates.taskless(ages, MAX_PREVIEWED)).filter(
        (each) => owner === undefined || each.owner === owner,
      );
      const old = [...sessions, ...taskless];
      const oldIds = new Set(old.map(({ session_id: id }) => id));
      const tasks = (await candidates.tasks(owner, ages, MAX_PREVIEWED)).filter(
        ({ session_id: id }) => !oldIds.has(id),
      );
      const all: RetentionItem[] = [
        ...old.map((each) => ({
          kind: 'session' as const,
          id: each.session_id,
          owner: each.owner,
          last_used_at: each.updated_at,
        })),
        ...tasks.map((each) => ({
          kind: 'task' as const,
          id: each.task_id,
          owner: each.owner,
          last_used_at: each.ended_at ?? '',
        })),
      ];
      // Sessions first, then by last use.
      const key = ({ kind, last_used_at: at, id }: RetentionItem): string => `${kind} ${at} ${id}`;
      const { items, ...following } = pageOfAll('retention_preview', all, key, query);
      const ids = items.flatMap(({ kind, id }) => (kind === 'session' ? [id] : []));
      const sizes = await workspaceSizes(this.#options.broker, ids);
      const withSizes = async (item: RetentionItem): Promise<RetentionItem> => {
        if (item.kind === 'task') return item;
        const workspaceBytes = sizes.get(item.id);
        const bytes = await this.#bytesOf(item.id);
        return { ...item, bytes, ...(workspaceBytes === undefined ? {} : { workspace_bytes: workspaceBytes }) };
      };
      return {
        items: await Promise.all(items.map(withSizes)),
        ...following,
        tasks: tasks.length,
        sessions: old.length,
        more: [sessions, taskless, tasks].some(({ length }) => length >= MAX_PREVIEWED),
      };
    });
  }

  /** Runs retention now, up to the limits of one run. @throws {ApiError} forbidden */
  async run(principal: Principal): Promise<RetentionRun> {
    if (!principal.seesAll)
      throw new ApiError(
        'forbidden',
        'Retention deletes tasks of all owners, so it needs a token that sees all owners',
      );
    return withApiErrors(() => this.#sweep());
  }

  /** Never rejects. */
  async #runIfLeader(): Promise<void> {
    const { broker, records, isReady, log } = this.#options;
    try {
      if (!broker.connected() || !isReady()) return;
      if (!(await records.lease(this.#holder, 2 * this.#intervalMs))) return;
      const { tasks, sessions } = await this.#sweep();
      if (tasks + sessions > 0) log.info({ tasks, sessions }, 'retention deleted tasks and sessions');
    } catch (error) {
      log.warn({ err: error }, 'retention failed; the next run tries again');
    }
  }

  async #sweep(): Promise<RetentionRun> {
    const { config, records, candidates } = this.#options;
    const operator = operatorAges(config);
    const agesByOwner: [string | undefined, RetentionAges][] = [[undefined, operator]];
    for (const owner of await records.owners()) {
      const own = await this.#ownerAges(owner);
      if (own !== undefined) agesByOwner.push([owner, shorter(operator, own)]);
    }
    let [tasks, sessions, more] = [0, 0, false];
    for (const [owner, ages] of agesByOwner) {
      const old = await candidates.sessions(owner, ages, MAX_SESSIONS);
      sessions += await this.#deleteSessions(old);
      const rows = await candidates.tasks(owner, ages, MAX_TASKS);
      tasks += (await this.#options.deleter.ended(rows, LOCAL)).removed.length;
      more ||= old.length >= MAX_SESSIONS || rows.length >= MAX_TASKS;
    }
    sessions += await this.#deleteSessions(await candidates.taskless(operator, MAX_SESSIONS));
    sessions += await this.#bySize();
    return { tasks, sessions, more };
  }

  /** @returns undefined if the owner's record is unreadable. Only the operator's ages apply then. @throws {BrokerError} */
  async #ownerAges(owner: string): Promise<RetentionAges | undefined> {
    const { records, log } = this.#options;
    try {
      return await records.of(owner);
    } catch (error) {
      if (!isBrokerError(error, 'unreadable')) throw error;
      log.error({ err: error, owner }, "skipped an owner's unreadable retention ages");
      return undefined;
    }
  }

  /** While the transcripts exceed their limit, deletes the least recently used sessions. @returns the number of deleted sessions */
  async #bySize(): Promise<number> {
    const { broker, config, candidates } = this.#options;
    const maxBytes = config.KSI_RETENTION_TRANSCRIPTS_BYTES;
    if (maxBytes === 0 || (await this.#transcriptBytes()) <= maxBytes) return 0;
    let deleted = 0;
    for (const session of await candidates.idle(undefined, MIN_IDLE_S, MAX_SESSIONS)) {
      if (this.#stopping.signal.aborted || (await this.#transcriptBytes()) <= maxBytes) break;
      const transcript = SUBJECT.transcript(session.session_id);
      // Without a transcript, the deletion would free no space.
      if ((await lastBySubject(broker, STREAM.transcripts, transcript)) === undefined) continue;
      deleted += await this.#deleteSessions([session]);
    }
    return deleted;
  }

  /** Keeps sessions that got a new task meanwhile. @returns the number of deleted sessions. @throws {ApiError} broker_unavailable. @throws {BrokerError} */
  async #deleteSessions(sessions: readonly OldSession[]): Promise<number> {
    const { deleter, log } = this.#options;
    let deleted = 0;
    for (const { session_id: id } of sessions) {
      if (this.#stopping.signal.aborted) break;
      try {
        await deleter.session(id, LOCAL);
        deleted++;
      } catch (error) {
        if (!(error instanceof ApiError) || error.code === 'broker_unavailable') throw error;
        log.debug({ err: error, session_id: id }, 'could not delete an old session; the next run tries again');
      }
    }
    return deleted;
  }

  async #transcriptBytes(): Promise<number> {
    try {
      return (await this.#options.broker.jsm.streams.info(STREAM.transcripts)).state.bytes;
    } catch (error) {
      throw asBrokerError(error, `reading the state of ${STREAM.transcripts}`);
    }
  }

  async #bytesOf(sessionId: string): Promise<number> {
    let bytes = 0;
    const subject = SUBJECT.transcript(sessionId);
    for await (const { data } of readStream(
      this.#options.broker,
      STREAM.transcripts,
      subject,
      0,
      Number.MAX_SAFE_INTEGER,
    ))
      bytes += data.length;
    return bytes;
  }
}
