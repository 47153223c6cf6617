import type {
  ImportAnswer,
  Session,
  SessionExport,
  SessionRecord,
  SessionsQuery,
  TranscriptEntry,
  TranscriptQuery,
} from '../../contracts/sessions/sessions.js';
import { FORMAT_VERSION } from '../../contracts/wire/names.js';
import { NO_USAGE } from '../../contracts/access/usage.js';
import { isBrokerError } from '../broker/errors.js';
import type { ReadModel } from '../store/read-model.js';
import { markdownOf } from './transcript/markdown.js';
import { ApiError, withApiErrors } from '../errors/api-error.js';
import { PAGE_ITEMS, type Page } from '../../contracts/wire/page.js';
import { createdWithin, keyBefore, pageWith } from '../lists/page.js';
import { listedOwner, maySee, type Principal } from '../access/principal.js';
import type { SessionNames } from './names.js';
import type { SessionRecords } from './records.js';
import type { Transcripts } from './transcripts.js';
import { defined } from '../defined.js';

/**
 * The types of entries that an import accepts: the dialogue. In other entries, Claude Code records its own state, such as its folder
 * (`worktree-state`, `relocated`: on resume it changes to that folder, wherever it is) and cost. An importer must not set those.
 */
const CONVERSATION = new Set(['user', 'assistant', 'system', 'attachment', 'summary']);

/** The sessions that a principal may see, with their transcripts. */
export class Sessions {
  readonly #model: Pick<ReadModel, 'session' | 'sessions'>;
  readonly #transcripts: Transcripts;
  readonly #records: SessionRecords;
  readonly #names: SessionNames;

  constructor(
    model: Pick<ReadModel, 'session' | 'sessions'>,
    transcripts: Transcripts,
    records: SessionRecords,
    names: SessionNames,
  ) {
    this.#names = names;
    this.#model = model;
    this.#transcripts = transcripts;
    this.#records = records;
  }

  /** Sessions with tasks first, by their newest task; then sessions without tasks, by id. @throws {ApiError} */
  async page(query: SessionsQuery, principal: Principal): Promise<Page<Session>> {
    const { limit = PAGE_ITEMS, cursor } = query;
    const owner = listedOwner(principal, query.owner);
    const before = keyBefore('sessions', cursor);
    const fits = (session: Session): boolean => createdWithin(session.created_at, query);
    const isTaskless = before?.startsWith(TASKLESS) === true;
    const after = isTaskless ? before.slice(TASKLESS.length) : '';
    const { sessions, next } = isTaskless
      ? { sessions: [], next: undefined }
      : await this.#model.sessions(owner, limit, before, fits);
    if (next !== undefined) return pageWith('sessions', sessions, next);
    const taskless = await this.#taskless(owner, after, limit - sessions.length + 1, fits);
    const page = [...sessions, ...taskless].slice(0, limit);
    // An empty id: the next page begins with the first session without tasks.
    const last = page.length === sessions.length ? '' : page.at(-1)?.session_id;
    return pageWith('sessions', page, sessions.length + taskless.length > limit ? `${TASKLESS}${last}` : undefined);
  }

  /** Sessions without tasks, sorted by id, after `after`. */
  async #taskless(
    owner: string | undefined,
    after: string,
    limit: number,
    fits: (session: Session) => boolean,
  ): Promise<Session[]> {
    const found: Session[] = [];
    for (const id of (await withApiErrors(() => this.#records.ids())).toSorted()) {
      if (found.length === limit) break;
      if (id <= after || (await this.#model.session(id)) !== undefined) continue;
      const record = await withApiErrors(() => this.#records.find(id));
      if (record === undefined || (owner !== undefined && record.owner !== owner)) continue;
      const session = withoutTasks(record);
      if (fits(session)) found.push(session);
    }
    return found;
  }

  /** @param idOrName a UUID or a name. @throws {ApiError} session_not_found */
  async one(idOrName: string, principal: Principal): Promise<Session> {
    const sessionId = (await withApiErrors(() => this.#names.find(idOrName, principal.owner)))?.sessionId;
    const session =
      sessionId === undefined
        ? undefined
        : ((await this.#model.session(sessionId)) ?? (await withApiErrors(() => this.#withoutTasks(sessionId))));
    if (session === undefined || !maySee(principal, session.owner))
      throw new ApiError('session_not_found', `There is no session ${idOrName}`);
    return session;
  }

  /** As lines of JSON, or as Markdown. @throws {ApiError} */
  async transcript(idOrName: string, format: TranscriptQuery['format'], principal: Principal): Promise<string> {
    const session = await this.one(idOrName, principal);
    const entries = await withApiErrors(() => this.#transcripts.main(session.session_id));
    if (format === 'markdown') return markdownOf(session.session_name ?? session.session_id, entries);
    return entries.map((entry) => `${JSON.stringify(entry)}\n`).join('');
  }

  /** @throws {ApiError} */
  async export(idOrName: string, principal: Principal): Promise<SessionExport> {
    const session = await this.one(idOrName, principal);
    const { entries, subagents } = await withApiErrors(() => this.#transcripts.whole(session.session_id));
    return {
      format: 'ksi-session',
      v: FORMAT_VERSION,
      session_id: session.session_name ?? session.session_id,
      entries: [...entries],
      ...(Object.keys(subagents).length === 0
        ? {}
        : { subagents: Object.fromEntries(Object.entries(subagents).map(([key, part]) => [key, [...part]])) }),
    };
  }

  /** Creates a session of the principal from an export. @throws {ApiError} session_exists */
  async import(exported: SessionExport, principal: Principal, now: number): Promise<ImportAnswer> {
    const { sessionId, sessionName } = await withApiErrors(() =>
      this.#names.findOrReserve(exported.session_id, principal.owner),
    );
    const taken = new ApiError(
      'session_exists',
      `The session ${sessionName ?? sessionId} already exists. Import under another name or id`,
    );
    if ((await this.#model.session(sessionId)) !== undefined) throw taken;
    const name = sessionName === undefined ? {} : { session_name: sessionName };
    const asMine = (entries: readonly TranscriptEntry[]): TranscriptEntry[] =>
      entries
        .filter(({ type }) => CONVERSATION.has(type))
        .map((entry) => ('sessionId' in entry ? { ...entry, sessionId } : entry));
    const subagents = Object.entries(exported.subagents ?? {}).map(([key, part]) => [key, asMine(part)] as const);
    const entries = asMine(exported.entries);
    return withApiErrors(async () => {
      if ((await this.#transcripts.main(sessionId)).length > 0) throw taken;
      const created_at = new Date(now).toISOString();
      const record = { v: FORMAT_VERSION, session_id: sessionId, ...name, owner: principal.owner, created_at };
      // The owner's record without a transcript is left from an import that broke off, which may be repeated.
      const owned = (await this.#records.claim(record)) || (await this.#records.ownerOf(sessionId)) === principal.owner;
      if (!owned) throw taken;
      try {
        const transcript = { entries, subagents: Object.fromEntries(subagents) };
        await this.#transcripts.store({ session_id: sessionId, owner: principal.owner }, transcript);
      } catch (error) {
        if (!isBrokerError(error, 'conflict')) throw error;
        // A task has begun the session meanwhile, and its owner keeps it.
        if ((await this.#records.begun(sessionId))?.owner !== principal.owner) await this.#records.remove(sessionId);
        throw taken;
      }
      return { session_id: sessionId, ...name, entries: entries.length };
    });
  }

  /** An imported session, or one whose tasks were deleted. */
  async #withoutTasks(sessionId: string): Promise<Session | undefined> {
    const known = (await this.#records.find(sessionId)) ?? (await this.#records.begun(sessionId));
    return known === undefined ? undefined : withoutTasks({ ...known, session_id: sessionId });
  }
}

type Known = Pick<SessionRecord, 'session_id' | 'session_name' | 'owner' | 'created_at'>;

const withoutTasks = ({ session_id, session_name, owner, created_at }: Known): Session =>
  defined({
    session_id,
    session_name,
    owner,
    created_at,
    updated_at: created_at,
    tasks: 0,
    open: 0,
    last_task_id: '',
    usage: NO_USAGE,
  });

/** The prefix of a cursor among the sessions without tasks. The last session's id follows. */
const TASKLESS = 'taskless:';
