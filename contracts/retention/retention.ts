import { Type, type Static } from 'typebox';
import type { Config } from '../config/config.js';
import { BUCKET, SUBJECT } from '../wire/names.js';
import { ownerFilter, pageOf, pageQuery } from '../wire/page.js';
import { expectedRevision } from '../wire/revision.js';
import { recordKind } from '../wire/record-kind.js';

const closed = { additionalProperties: false };
const age = (description: string) =>
  Type.Optional(Type.Integer({ minimum: 60, maximum: 315_360_000, description: `${description} Seconds.` }));

/** Ages after which something is deleted. Absent: it is kept. Of an owner's ages (PUT /retention) and the operator's, the shorter one holds. */
export const RetentionAges = Type.Object(
  {
    tasks_s: age('Ended tasks, counted from their end.'),
    sessions_s: age('Sessions, counted from their last use.'),
  },
  closed,
);
export type RetentionAges = Static<typeof RetentionAges>;

/** What an owner wants, in `ksi_retention`. */
export const RetentionRecord = Type.Object({ v: Type.Integer({ minimum: 1 }), ages: RetentionAges });
export type RetentionRecord = Static<typeof RetentionRecord>;

export const RETENTION_RECORDS = recordKind(BUCKET.retention, RetentionRecord, SUBJECT.retention);

/** Which API looks for what is old, and until when. It is an entry of `ksi_retention`. */
export const RetentionLease = Type.Object({
  v: Type.Integer({ minimum: 1 }),
  holder: Type.String(),
  until: Type.Integer({ description: 'In ms since 1970, by the broker.' }),
});
export type RetentionLease = Static<typeof RetentionLease>;

export const RETENTION_LEASE = recordKind(BUCKET.retention, RetentionLease, () => SUBJECT.retentionLease);

export const RetentionSet = Type.Object({ ...RetentionAges.properties, ...expectedRevision }, closed);
export type RetentionSet = Static<typeof RetentionSet>;

export const RetentionView = Type.Object({
  enabled: Type.Boolean({ description: 'Whether anything is deleted by its age (KSI_RETENTION).' }),
  operator: RetentionAges,
  own: RetentionAges,
  revision: Type.Integer({ minimum: 0, description: 'Of your own ages; 0: there are none. It is the `ETag`.' }),
  effective: RetentionAges,
  workspaces_s: Type.Optional(
    Type.Integer({ description: 'Working folders, counted from the last use of the session.' }),
  ),
  transcripts_bytes: Type.Integer({ description: 'Bytes that KSI_TRANSCRIPTS takes now.' }),
  transcripts_max_bytes: Type.Optional(
    Type.Integer({ description: 'Beyond this, the sessions that were not used for longest are deleted.' }),
  ),
});
export type RetentionView = Static<typeof RetentionView>;

/** GET /retention/preview: what would be deleted now, by the effective ages or by these. */
export const RetentionPreviewQuery = pageQuery({ ...RetentionAges.properties, ...ownerFilter });
export type RetentionPreviewQuery = Static<typeof RetentionPreviewQuery>;

export const RetentionItem = Type.Object({
  kind: Type.Enum(['task', 'session']),
  id: Type.String(),
  owner: Type.String(),
  last_used_at: Type.String({ format: 'date-time' }),
  bytes: Type.Optional(Type.Integer({ minimum: 0, description: 'Of a session: its transcript.' })),
  workspace_bytes: Type.Optional(
    Type.Integer({
      minimum: 0,
      description:
        'Of a session: its own working folders on the hosts of all workers. Absent: unknown, as no worker runs, or a worker did not answer in 3 s.',
    }),
  ),
});
export type RetentionItem = Static<typeof RetentionItem>;

export const RetentionPreview = pageOf(RetentionItem, {
  tasks: Type.Integer({ minimum: 0, description: 'Tasks that are old, without those of old sessions.' }),
  sessions: Type.Integer({ minimum: 0 }),
  more: Type.Boolean({ description: 'There are more than were counted.' }),
});
export type RetentionPreview = Static<typeof RetentionPreview>;

/** POST /retention/run */
export const RetentionRun = Type.Object({
  tasks: Type.Integer({ minimum: 0 }),
  sessions: Type.Integer({ minimum: 0 }),
  more: Type.Boolean({ description: 'Run it again: there is a bound to what one run deletes.' }),
});
export type RetentionRun = Static<typeof RetentionRun>;

/** The operator's ages. `0` in the configuration stands for: kept. */
export const operatorAges = ({
  KSI_RETENTION_TASKS_S: tasks,
  KSI_RETENTION_SESSIONS_S: sessions,
}: Pick<Config, 'KSI_RETENTION_TASKS_S' | 'KSI_RETENTION_SESSIONS_S'>): RetentionAges => ({
  ...(tasks === 0 ? {} : { tasks_s: tasks }),
  ...(sessions === 0 ? {} : { sessions_s: sessions }),
});

/** Pure: of two sets of ages, the shorter of each. */
export function shorter(a: RetentionAges, b: RetentionAges): RetentionAges {
  const of = (x: number | undefined, y: number | undefined): number | undefined =>
    x === undefined || y === undefined ? (x ?? y) : Math.min(x, y);
  const [tasks, sessions] = [of(a.tasks_s, b.tasks_s), of(a.sessions_s, b.sessions_s)];
  return {
    ...(tasks === undefined ? {} : { tasks_s: tasks }),
    ...(sessions === undefined ? {} : { sessions_s: sessions }),
  };
}

/** How often one looks for what is old: ten times within the shortest age, from every 5 s to every 10 min. */
export const retentionIntervalMs = (ages: readonly (number | undefined)[]): number => {
  const shortest = Math.min(...ages.filter((each): each is number => each !== undefined && each > 0), Infinity);
  return Math.min(Math.max(shortest * 100, 5_000), 600_000);
};
