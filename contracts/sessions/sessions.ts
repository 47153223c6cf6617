import { Type, type Static } from 'typebox';
import { NAME_PATTERN, BUCKET, SUBJECT } from '../wire/names.js';
import { createdFilter, ownerFilter, pageOf, pageQuery } from '../wire/page.js';
import { Usage } from '../access/usage.js';
import { recordKind } from '../wire/record-kind.js';

/** The answer of GET /sessions/:id, and an item of GET /sessions. */
export const Session = Type.Object({
  session_id: Type.String(),
  session_name: Type.Optional(Type.String()),
  owner: Type.String(),
  agent_id: Type.Optional(Type.String()),
  fork_of: Type.Optional(Type.String({ description: 'The session that it was forked from.' })),
  workspace: Type.Optional(Type.String({ description: 'The working folder; absent: its own folder.' })),
  created_at: Type.String({ format: 'date-time', description: 'The time when its first task was accepted.' }),
  updated_at: Type.String({ format: 'date-time', description: 'The time of the last change of any of its tasks.' }),
  tasks: Type.Integer({ minimum: 0 }),
  open: Type.Integer({ minimum: 0, description: 'Tasks that have not ended.' }),
  last_task_id: Type.String({ description: 'The most recently accepted task.' }),
  usage: Usage,
});
export type Session = Static<typeof Session>;

export const SessionsQuery = pageQuery({ ...ownerFilter, ...createdFilter });
export type SessionsQuery = Static<typeof SessionsQuery>;

/** Sessions with the newest tasks first. */
export const SessionPage = pageOf(Session, {});
export type SessionPage = Static<typeof SessionPage>;

/** A line of a Claude Code transcript: the fields that KSI uses, and all others unchanged. */
export interface TranscriptEntry {
  readonly type: string;
  readonly uuid?: string;
  readonly timestamp?: string;
  readonly [field: string]: unknown;
}

/** A relative path in the session's folder on a worker. The pattern excludes paths that leave the folder. */
const SUBAGENT_PATTERN = '^(?=.{1,512}$)[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$';

const entries = Type.Array(Type.Object({ type: Type.String() }), { description: 'Lines of a Claude Code transcript.' });

/** A complete session: GET /sessions/:id/export, POST /sessions/import. */
export const SessionExport = Type.Object(
  {
    format: Type.Literal('ksi-session'),
    v: Type.Integer({ minimum: 1 }),
    session_id: Type.Optional(
      Type.String({ pattern: NAME_PATTERN, description: 'Its UUID, or the name of a new one.' }),
    ),
    entries,
    subagents: Type.Optional(
      Type.Record(Type.String({ pattern: SUBAGENT_PATTERN }), entries, { additionalProperties: false }),
    ),
  },
  { additionalProperties: false },
);
export type SessionExport = Static<typeof SessionExport>;

export const ImportAnswer = Type.Object({
  session_id: Type.String(),
  session_name: Type.Optional(Type.String()),
  entries: Type.Integer({ description: 'The number of entries in the main transcript.' }),
});
export type ImportAnswer = Static<typeof ImportAnswer>;

export const TranscriptQuery = Type.Object(
  {
    format: Type.Optional(
      Type.Enum(['jsonl', 'markdown'], { default: 'jsonl', description: 'Lines of JSON, or Markdown.' }),
    ),
  },
  { additionalProperties: false },
);
export type TranscriptQuery = Static<typeof TranscriptQuery>;

/** The session of an owner's name: a record of `ksi_sessions`. */
export const SessionNameRecord = Type.Object({
  v: Type.Integer({ minimum: 1 }),
  session_id: Type.String(),
  session_name: Type.String(),
  owner: Type.String(),
});
export type SessionNameRecord = Static<typeof SessionNameRecord>;

export const SESSION_NAMES = recordKind(BUCKET.sessions, SessionNameRecord, SUBJECT.sessionName);

/** The owner of a session without tasks: a record of `ksi_sessions`. */
export const SessionRecord = Type.Object({
  v: Type.Integer({ minimum: 1 }),
  session_id: Type.String(),
  session_name: Type.Optional(Type.String()),
  owner: Type.String(),
  created_at: Type.String({ format: 'date-time' }),
});
export type SessionRecord = Static<typeof SessionRecord>;

export const SESSION_RECORDS = recordKind(BUCKET.sessions, SessionRecord, SUBJECT.sessionRecord);

export const SessionParams = Type.Object(
  { id: Type.String({ pattern: NAME_PATTERN, description: "The session's UUID or name." }) },
  { additionalProperties: false },
);
export type SessionParams = Static<typeof SessionParams>;
