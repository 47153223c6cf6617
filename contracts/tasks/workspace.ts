import { Type, type Static } from 'typebox';
import { BUCKET, SUBJECT } from '../wire/names.js';
import { pageOf } from '../wire/page.js';
import { recordKind } from '../wire/record-kind.js';

/** `<root>` or `<root>/<folder>/…`: no empty segment, no segment that begins with a dot, no backslash. */
const SEGMENT = '[A-Za-z0-9_@+ -][A-Za-z0-9._@+ -]{0,127}';
export const WORKSPACE_PATTERN = `^[A-Za-z0-9_-]{1,64}(/${SEGMENT}){0,16}$`;

/** The root of a workspace: one of KSI_WORKSPACES. */
export const rootOf = (workspace: string): string => workspace.split('/', 1)[0] ?? '';

/** The working folder of a session, at `ksi.transcripts.<session_id>.$workspace`. The last message counts. */
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
  ancestors: Type.Optional(Type.Array(Type.String(), { description: 'The tasks that led to it by agent tools.' })),
  since: Type.String({ format: 'date-time' }),
};

const WorkspaceWaiter = Type.Object(waitingFields);
export type WorkspaceWaiter = Static<typeof WorkspaceWaiter>;

const WorkspaceWriter = Type.Object({
  ...waitingFields,
  until: Type.Integer({
    description: 'Milliseconds since 1970. The task may write until then even if it does not run.',
  }),
  waits_for: Type.Optional(
    Type.Array(Type.String(), {
      description: 'The tasks that it waits for. They may write in its place until they end.',
    }),
  ),
});
export type WorkspaceWriter = Static<typeof WorkspaceWriter>;

/** An entry of `ksi_workspaces`: the tasks that write below one root, and the tasks that wait to write there, in order (ADR 40). */
export const WorkspacePlaces = Type.Object({
  v: Type.Integer(),
  writers: Type.Array(WorkspaceWriter),
  waiting: Type.Array(WorkspaceWaiter),
});
export type WorkspacePlaces = Static<typeof WorkspacePlaces>;

export const WORKSPACE_PLACES = recordKind(BUCKET.workspaces, WorkspacePlaces, SUBJECT.places);

const shown = {
  task_id: Type.Optional(Type.String({ description: 'Absent for a task of another owner.' })),
  since: Type.String({ format: 'date-time' }),
};

/** A workspace that tasks write in, read or wait for. */
export const WorkspaceView = Type.Object({
  workspace: Type.String(),
  limit: Type.Integer({
    minimum: 0,
    description:
      'How many tasks may write there at the same time (KSI_WORKSPACE_WRITERS). 0: no limit, and `writers` is empty.',
  }),
  writers: Type.Array(
    Type.Object({
      ...shown,
      waits_for: Type.Optional(
        Type.Array(Type.String(), {
          description: 'The tasks that it waits for. They may write in its place until they end.',
        }),
      ),
    }),
    { description: 'Tasks that may write there now.' },
  ),
  readers: Type.Array(Type.Object(shown), {
    description: 'Running tasks that can only read there (`workspace_access`). They do not count towards `limit`.',
  }),
  waiting: Type.Array(Type.Object(shown), { description: 'Tasks that wait to write there, the first one first.' }),
});
export type WorkspaceView = Static<typeof WorkspaceView>;

/** By name. */
export const WorkspacePage = pageOf(WorkspaceView, {});
export type WorkspacePage = Static<typeof WorkspacePage>;
