import { Type, type Static } from 'typebox';
import { BUCKET, SUBJECT } from '../wire/names.js';
import { pageOf } from '../wire/page.js';
import { recordKind } from '../wire/record-kind.js';

/** `<root>` or `<root>/<folder>/…`: no empty segment, none that begins with a dot, no backslash. */
const SEGMENT = '[A-Za-z0-9_@+ -][A-Za-z0-9._@+ -]{0,127}';
export const WORKSPACE_PATTERN = `^[A-Za-z0-9_-]{1,64}(/${SEGMENT}){0,16}$`;

/** The root that a workspace lies in: one of KSI_WORKSPACES. */
export const rootOf = (workspace: string): string => workspace.split('/', 1)[0] ?? '';

/** What a session's working folder is, at `ksi.transcripts.<session_id>.$workspace`; the last one holds. */
export const WorkspaceBinding = Type.Object({
  v: Type.Integer(),
  workspace: Type.String({ pattern: WORKSPACE_PATTERN }),
});
export type WorkspaceBinding = Static<typeof WorkspaceBinding>;

const waitingFields = {
  task_id: Type.String(),
  session_id: Type.String(),
  owner: Type.String(),
  workspace: Type.String(),
  ancestors: Type.Optional(
    Type.Array(Type.String(), { description: 'The tasks that led to it, each with the tools of its agent.' }),
  ),
  since: Type.String({ format: 'date-time' }),
};

const WorkspaceWaiter = Type.Object(waitingFields);
export type WorkspaceWaiter = Static<typeof WorkspaceWaiter>;

const WorkspaceWriter = Type.Object({
  ...waitingFields,
  until: Type.Integer({ description: 'In ms since 1970: it keeps its place until then without running.' }),
  waits_for: Type.Optional(
    Type.Array(Type.String(), { description: 'The tasks that it waits for. They may write in its place meanwhile.' }),
  ),
});
export type WorkspaceWriter = Static<typeof WorkspaceWriter>;

/** An entry of `ksi_workspaces`: who writes below one root, and who waits for that, in order (ADR 40). */
export const WorkspacePlaces = Type.Object({
  v: Type.Integer(),
  writers: Type.Array(WorkspaceWriter),
  waiting: Type.Array(WorkspaceWaiter),
});
export type WorkspacePlaces = Static<typeof WorkspacePlaces>;

export const WORKSPACE_PLACES = recordKind(BUCKET.workspaces, WorkspacePlaces, SUBJECT.places);

const shown = {
  task_id: Type.Optional(Type.String({ description: "Absent: another owner's." })),
  since: Type.String({ format: 'date-time' }),
};

/** A workspace that tasks write in, read or wait for. */
export const WorkspaceView = Type.Object({
  workspace: Type.String(),
  limit: Type.Integer({
    minimum: 0,
    description: 'Tasks that may write there at once (KSI_WORKSPACE_WRITERS). 0: any number, and `writers` is empty.',
  }),
  writers: Type.Array(
    Type.Object({
      ...shown,
      waits_for: Type.Optional(
        Type.Array(Type.String(), {
          description: 'The tasks that it waits for. They may write in its place meanwhile.',
        }),
      ),
    }),
    { description: 'Tasks that may write there now.' },
  ),
  readers: Type.Array(Type.Object(shown), {
    description: 'Running tasks that read there and cannot write (`workspace_access`). They do not count for `limit`.',
  }),
  waiting: Type.Array(Type.Object(shown), { description: 'Tasks that wait for that, the first one first.' }),
});
export type WorkspaceView = Static<typeof WorkspaceView>;

/** By name. */
export const WorkspacePage = pageOf(WorkspaceView, {});
export type WorkspacePage = Static<typeof WorkspacePage>;
