import { Type, type Static } from 'typebox';
import { NAME_PATTERN, BUCKET, SUBJECT } from '../wire/names.js';
import { createdFilter, ownerFilter, pageOf, pageQuery } from '../wire/page.js';
import { Usage } from '../access/usage.js';
import { recordKind } from '../wire/record-kind.js';

/** A conversation: GET /sessions, GET /sessions/:id. */
export const Session = Type.Object({
  session_id: Type.String(),
  session_name: Type.Optional(Type.String()),
  owner: Type.String(),
  agent_id: Type.Optional(Type.String()),
  fork_of: Type.Optional(Type.String({ description: 'The session that it goes on from.' })),
  workspace: Type.Optional(Type.String({ description: 'Where it works; absent: in a folder of its own.' })),
  created_at: Type.String({ format: 'date-time', description: 'When its first task was accepted.' }),
  updated_at: Type.String({ format: 'date-time', description: 'Of the last change of one of its tasks.' }),
  tasks: Type.Integer({ minimum: 0 }),
  open: Type.Integer({ minimum: 0, description: 'Tasks that have not ended.' }),
  last_task_id: Type.String({ description: 'The task that was accepted last.' }),
  usage: Usage,
});
export type Session = Static<typeof Session>;

export const SessionsQuery = pageQuery({ ...ownerFilter, ...createdFilter });
export type SessionsQuery = Static<typeof SessionsQuery>;

/** Those with the newest tasks first. */
export const SessionPage = pageOf(Session, {});
export type SessionPage = Static<typeof SessionPage>;

/** One line of a transcript, as Claude Code keeps it: what KSI relies on, and all else as it is. */
export interface TranscriptEntry {
  readonly type: string;
  readonly uuid?: string;
  readonly timestamp?: string;
  readonly [field: string]: unknown;
}

/** A path below the session's own folder on a worker, where Claude Code puts it: it leads nowhere else. */
const SUBAGENT_PATTERN = '^(?=.{1,512}$)[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$';

const entries = Type.Array(Type.Object({ type: Type.String() }), { description: 'Lines as Claude Code keeps them.' });

/** A whole session, to keep or to bring elsewhere: GET /sessions/:id/export, POST /sessions/import. */
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
  entries: Type.Integer({ description: 'How many its main transcript has.' }),
});
export type ImportAnswer = Static<typeof ImportAnswer>;

export const TranscriptQuery = Type.Object(
  {
    format: Type.Optional(
      Type.Enum(['jsonl', 'markdown'], { default: 'jsonl', description: 'Lines of JSON, or a text to read.' }),
    ),
  },
  { additionalProperties: false },
);
export type TranscriptQuery = Static<typeof TranscriptQuery>;

/** The session that an owner's name stands for: an entry of `ksi_sessions`. */
export const SessionNameRecord = Type.Object({
  v: Type.Integer({ minimum: 1 }),
  session_id: Type.String(),
  session_name: Type.String(),
  owner: Type.String(),
});
export type SessionNameRecord = Static<typeof SessionNameRecord>;

export const SESSION_NAMES = recordKind(BUCKET.sessions, SessionNameRecord, SUBJECT.sessionName);

/** Whose a session is that has no task: its entry in `ksi_sessions`. */
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
