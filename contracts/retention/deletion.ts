import { Type, type Static } from 'typebox';
import { isEnded, TASK_STATUSES } from '../tasks/states.js';
import { taskFilter } from '../tasks/task.js';
import { pageFields, statusFilter } from '../wire/page.js';

const left = {
  path: Type.Optional(Type.String({ description: 'What stayed, on the host; absent: the worker did not say.' })),
  reason: Type.String({
    description:
      "The code of the system's error, such as `EPERM` at an immutable file; `no_answer`: the worker is still removing, or is gone and removes the rest when its host has a worker again.",
  }),
};

/** What of a deletion is still on the disk of a worker's host, which removes it as soon as it can. */
export const UndeletedFolder = Type.Object({
  worker_id: Type.String(),
  host: Type.String(),
  session_id: Type.Optional(Type.String()),
  ...left,
});
export type UndeletedFolder = Static<typeof UndeletedFolder>;

/** The answer to a deletion that is not complete yet (202): nobody reads or resumes it any more, but files are left. */
export const DeletionPending = Type.Object({
  undeleted: Type.Array(UndeletedFolder, {
    description: 'What is left, or the first of it. Workers try again until nothing is.',
  }),
});
export type DeletionPending = Static<typeof DeletionPending>;

/** What an API asks of every worker after a deletion, on `ksi.control.<process>.deleted-sessions`. */
export const SessionsDeletedRequest = Type.Object({ session_ids: Type.Array(Type.String()) });
export type SessionsDeletedRequest = Static<typeof SessionsDeletedRequest>;

export const SessionsDeletedAnswer = Type.Object({
  undeleted: Type.Array(Type.Object({ session_id: Type.String(), path: Type.String(), reason: Type.String() })),
});
export type SessionsDeletedAnswer = Static<typeof SessionsDeletedAnswer>;

const ENDED = TASK_STATUSES.filter((status) => isEnded(status));

/** DELETE /tasks: a page of the ended tasks that match. At least one filter must be given. */
export const TasksDeleteQuery = Type.Object(
  {
    ...statusFilter(ENDED),
    ...taskFilter,
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 500, default: 200, description: 'Tasks that one request deletes.' }),
    ),
    cursor: pageFields.cursor,
    dry_run: Type.Optional(Type.Boolean({ description: 'Delete nothing, and say how many would be deleted.' })),
  },
  { additionalProperties: false },
);
export type TasksDeleteQuery = Static<typeof TasksDeleteQuery>;

export const TasksDeleted = Type.Object({
  deleted: Type.Integer({ minimum: 0, description: 'Tasks that this request deleted, or would have deleted.' }),
  refused: Type.Array(Type.Object({ task_id: Type.String(), code: Type.String(), detail: Type.String() }), {
    description: 'Tasks that match and stay.',
  }),
  undeleted: Type.Optional(DeletionPending.properties.undeleted),
  next_cursor: Type.Optional(Type.String({ description: 'Ask again with this: more tasks may match.' })),
});
export type TasksDeleted = Static<typeof TasksDeleted>;
