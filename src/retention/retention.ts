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
  /** Whether the read model holds all that has happened. */
  readonly isReady: () => boolean;
  readonly log: Logger;
}

/** What one run deletes at the most. The rest waits for the next one, so that others have their turn at the broker. */
const MAX_TASKS = 1_000;
const MAX_SESSIONS = 200;
const COUNTED = 10_000;
/** A session is not deleted for its size while somebody may still be at it. */
const MIN_IDLE_S = 3_600;

/**
 * Deletes what is older or takes more than it may. One API does it, as long as it holds the lease. A deletion can be repeated, so an API
 * that dies in the middle leaves nothing that the next one does not finish.
 */
export class Retention {
  readonly #options: RetentionOptions;
  readonly #holder = randomUUID();
  readonly #intervalMs: number;
  readonly #stopping = new AbortController();
  #forgetNext: (() => void) | undefined;
  #running: Promise<unknown> = Promise.resolve();

  constructor(options: RetentionOptions) {
    this.#options = options;
    const { tasks_s: tasks, sessions_s: sessions } = operatorAges(options.config);
    this.#intervalMs = retentionIntervalMs([tasks, sessions]);
  }

  start(): void {
    const { config, broker } = this.#options;
    if (config.KSI_RETENTION === 'off') return;
    this.#forgetNext = broker.clock.after(this.#intervalMs, () => {
      this.#running = this.#turn().finally(() => (this.#stopping.signal.aborted ? undefined : this.start()));
    });
  }

  /** Resolves when nothing is under way. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#forgetNext?.();
    await this.#running;
  }

  /** @throws {ApiError} */
  async show({ owner }: Principal): Promise<RetentionView> {
    const { config, records } = this.#options;
    const operator = operatorAges(config);
    const own = await withApiErrors(() => records.of(owner));
    const { KSI_RETENTION_WORKSPACES_S: workspaces, KSI_RETENTION_TRANSCRIPTS_BYTES: most } = config;
    return {
      enabled: config.KSI_RETENTION === 'on',
      operator,
      own,
      revision: await withApiErrors(() => records.revision(owner)),
      effective: shorter(operator, own),
      ...(workspaces === 0 ? {} : { workspaces_s: workspaces }),
      transcripts_bytes: await withApiErrors(() => this.#transcriptBytes()),
      ...(most === 0 ? {} : { transcripts_max_bytes: most }),
    };
  }

  /** @throws {ApiError} revision_mismatch */
  async set({ revision, ...ages }: RetentionSet, principal: Principal): Promise<RetentionView> {
    await withApiErrors(() => this.#options.records.set(principal.owner, ages, revision));
    return this.show(principal);
  }

  /** A dry run: what would be deleted by these ages, or by those that hold. @throws {ApiError} */
  async preview(query: RetentionPreviewQuery, principal: Principal): Promise<RetentionPreview> {
    const { limit: _limit, cursor: _cursor, owner: of, ...asked } = query;
    const { candidates, config } = this.#options;
    const owner = listedOwner(principal, of);
    return withApiErrors(async () => {
      const own = owner === undefined ? {} : await this.#readable(owner);
      const ages = Object.keys(asked).length > 0 ? asked : shorter(operatorAges(config), own ?? {});
      const sessions = await candidates.sessions(owner, ages, COUNTED);
      const taskless = (await candidates.taskless(ages, COUNTED)).filter(
        (each) => owner === undefined || each.owner === owner,
      );
      const old = [...sessions, ...taskless];
      const ofOld = new Set(old.map(({ session_id: id }) => id));
      const tasks = (await candidates.tasks(owner, ages, COUNTED)).filter(({ session_id: id }) => !ofOld.has(id));
      // The sessions come first, and then what was not used for longest.
      const all: RetentionItem[] = [
        ...old.map(({ session_id: id, owner, updated_at: at }) => ({
          kind: 'session' as const,
          id,
          owner,
          last_used_at: at,
        })),
        ...tasks.map(({ task_id: id, owner, ended_at: at = '' }) => ({
          kind: 'task' as const,
          id,
          owner,
          last_used_at: at,
        })),
      ];
      const key = ({ kind, last_used_at: at, id }: RetentionItem): string => `${kind} ${at} ${id}`;
      const { items, ...following } = pageOfAll('retention_preview', all, key, query);
      const ids = items.flatMap(({ kind, id }) => (kind === 'session' ? [id] : []));
      const sizes = await workspaceSizes(this.#options.broker, ids);
      const measured = async (item: RetentionItem): Promise<RetentionItem> => {
        if (item.kind === 'task') return item;
        const workspaceBytes = sizes.get(item.id);
        const bytes = await this.#bytesOf(item.id);
        return { ...item, bytes, ...(workspaceBytes === undefined ? {} : { workspace_bytes: workspaceBytes }) };
      };
      return {
        items: await Promise.all(items.map(measured)),
        ...following,
        tasks: tasks.length,
        sessions: old.length,
        more: [sessions, taskless, tasks].some(({ length }) => length >= COUNTED),
      };
    });
  }

  /** Deletes what is old now, up to a bound. @throws {ApiError} forbidden */
  async run(principal: Principal): Promise<RetentionRun> {
    if (!principal.seesAll)
      throw new ApiError('forbidden', 'Only a token that sees all owners can delete what is old of all of them');
    return withApiErrors(() => this.#sweep());
  }

  /** Never rejects. */
  async #turn(): Promise<void> {
    const { broker, records, isReady, log } = this.#options;
    try {
      if (!broker.connected() || !isReady()) return;
      if (!(await records.lease(this.#holder, 2 * this.#intervalMs))) return;
      const { tasks, sessions } = await this.#sweep();
      if (tasks + sessions > 0) log.info({ tasks, sessions }, 'deleted what was older or took more than it may');
    } catch (error) {
      log.warn({ err: error }, 'what is old could not be deleted; trying again');
    }
  }

  async #sweep(): Promise<RetentionRun> {
    const { config, records, candidates } = this.#options;
    const operator = operatorAges(config);
    const whose: [string | undefined, RetentionAges][] = [[undefined, operator]];
    for (const owner of await records.owners()) {
      const own = await this.#readable(owner);
      if (own !== undefined) whose.push([owner, shorter(operator, own)]);
    }
    let [tasks, sessions, more] = [0, 0, false];
    for (const [owner, ages] of whose) {
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

  /** @returns undefined: the owner's ages are a bad record. Those of the operator, which hold for all, apply then. */
  async #readable(owner: string): Promise<RetentionAges | undefined> {
    const { records, log } = this.#options;
    try {
      return await records.of(owner);
    } catch (error) {
      if (!isBrokerError(error, 'unreadable')) throw error;
      log.error({ err: error, owner }, "an owner's retention ages are a bad record, which is passed over");
      return undefined;
    }
  }

  /** While the transcripts take too much: the sessions that were not used for longest. */
  async #bySize(): Promise<number> {
    const { broker, config, candidates } = this.#options;
    const most = config.KSI_RETENTION_TRANSCRIPTS_BYTES;
    if (most === 0 || (await this.#transcriptBytes()) <= most) return 0;
    let deleted = 0;
    for (const session of await candidates.idle(undefined, MIN_IDLE_S, MAX_SESSIONS)) {
      if (this.#stopping.signal.aborted || (await this.#transcriptBytes()) <= most) break;
      const transcript = SUBJECT.transcript(session.session_id);
      // Without a transcript it takes nothing.
      if ((await lastBySubject(broker, STREAM.transcripts, transcript)) === undefined) continue;
      deleted += await this.#deleteSessions([session]);
    }
    return deleted;
  }

  /** One in which a task has just been taken in stays. @returns how many it deleted. @throws {ApiError} */
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
        log.debug({ err: error, session_id: id }, 'an old session stays for now');
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
