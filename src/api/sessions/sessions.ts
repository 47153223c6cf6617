import type {
  ImportAnswer,
  Session,
  SessionExport,
  SessionPage,
  SessionsQuery,
  TranscriptEntry,
  TranscriptQuery,
} from '../../../contracts/sessions.js';
import { FORMAT_VERSION } from '../../../contracts/names.js';
import { NO_USAGE } from '../../../contracts/usage.js';
import { isBrokerError } from '../../broker/errors.js';
import type { ReadModel } from '../../store/read-model.js';
import { markdownOf } from '../../transcripts/markdown.js';
import { chooseSession } from '../accept/session.js';
import { ApiError, guarded } from '../api-error.js';
import { decodePage, encodePage } from '../page-cursor.js';
import { maySee, type Principal } from '../principal.js';
import type { SessionRecords } from './records.js';
import type { Transcripts } from './transcripts.js';

const DEFAULT_LIMIT = 50;

/**
 * The entries that an import takes: what was said. In others Claude Code notes for itself where it works (`worktree-state`, `relocated`: it
 * goes there when it resumes, wherever that is; tried), how, and what it cost; and that is not the importer's word.
 */
const CONVERSATION = new Set(['user', 'assistant', 'system', 'attachment', 'summary']);

/** The conversations that a principal may see: what they were, took and said. */
export class Sessions {
  readonly #model: Pick<ReadModel, 'session' | 'sessions'>;
  readonly #transcripts: Transcripts;
  readonly #records: SessionRecords;

  constructor(model: Pick<ReadModel, 'session' | 'sessions'>, transcripts: Transcripts, records: SessionRecords) {
    this.#model = model;
    this.#transcripts = transcripts;
    this.#records = records;
  }

  /** Those with the newest tasks first. @throws {ApiError} */
  async page({ limit = DEFAULT_LIMIT, cursor }: SessionsQuery, principal: Principal): Promise<SessionPage> {
    const before = cursor === undefined ? undefined : decodePage(cursor);
    const owner = principal.seesAll ? undefined : principal.owner;
    const { sessions, next } = await this.#model.sessions(owner, limit, before);
    return { sessions, ...(next === undefined ? {} : { next_cursor: encodePage(next) }) };
  }

  /** @param asked its UUID or name. @throws {ApiError} session_not_found */
  async one(asked: string, principal: Principal): Promise<Session> {
    const { sessionId } = chooseSession(asked, principal.owner);
    const session = (await this.#model.session(sessionId)) ?? (await guarded(() => this.#imported(sessionId)));
    if (session === undefined || !maySee(principal, session.owner))
      throw new ApiError('session_not_found', `There is no session ${asked}`);
    return session;
  }

  /** As lines of JSON, or to read. @throws {ApiError} */
  async transcript(asked: string, format: TranscriptQuery['format'], principal: Principal): Promise<string> {
    const session = await this.one(asked, principal);
    const entries = await guarded(() => this.#transcripts.main(session.session_id));
    if (format === 'markdown') return markdownOf(session.session_name ?? session.session_id, entries);
    return entries.map((entry) => `${JSON.stringify(entry)}\n`).join('');
  }

  /** @throws {ApiError} */
  async export(asked: string, principal: Principal): Promise<SessionExport> {
    const session = await this.one(asked, principal);
    const { entries, subagents } = await guarded(() => this.#transcripts.whole(session.session_id));
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

  /** Makes a session of the principal's out of what was exported. @throws {ApiError} session_exists */
  async import(exported: SessionExport, principal: Principal, now = Date.now()): Promise<ImportAnswer> {
    const { sessionId, sessionName } = chooseSession(exported.session_id, principal.owner);
    const taken = new ApiError('session_exists', `The session ${sessionName ?? sessionId} is there already`);
    if ((await this.#model.session(sessionId)) !== undefined) throw taken;
    const name = sessionName === undefined ? {} : { session_name: sessionName };
    const mine = (entries: readonly TranscriptEntry[]): TranscriptEntry[] =>
      entries
        .filter(({ type }) => CONVERSATION.has(type))
        .map((entry) => ('sessionId' in entry ? { ...entry, sessionId } : entry));
    const subagents = Object.entries(exported.subagents ?? {}).map(([key, part]) => [key, mine(part)] as const);
    const entries = mine(exported.entries);
    return guarded(async () => {
      if ((await this.#transcripts.main(sessionId)).length > 0) throw taken;
      const created_at = new Date(now).toISOString();
      const record = { v: FORMAT_VERSION, session_id: sessionId, ...name, owner: principal.owner, created_at };
      if (!(await this.#records.claim(record))) throw taken;
      try {
        const transcript = { entries, subagents: Object.fromEntries(subagents) };
        await this.#transcripts.store({ session_id: sessionId, owner: principal.owner }, transcript);
      } catch (error) {
        if (!isBrokerError(error, 'conflict')) throw error;
        // A task began it in between: it is its owner's.
        await this.#records.remove(sessionId);
        throw taken;
      }
      return { session_id: sessionId, ...name, entries: entries.length };
    });
  }

  async #imported(sessionId: string): Promise<Session | undefined> {
    const record = await this.#records.find(sessionId);
    if (record === undefined) return undefined;
    const { v: _version, ...known } = record;
    return { ...known, updated_at: known.created_at, tasks: 0, open: 0, last_task_id: '', usage: NO_USAGE };
  }
}
