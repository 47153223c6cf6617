import { Type, type Static } from 'typebox';
import { FileEntry } from './files.js';

/** The largest diff, uncompressed. */
export const MAX_DIFF_BYTES = 8 * 1_048_576;
/** The most bytes of a file in one answer. Their base64 form and the rest of the answer fit in a NATS message. */
export const PIECE_BYTES = 524_288;

const folder = {
  session_id: Type.String(),
  workspace: Type.Optional(Type.String({ description: "Absent: the session's own folder." })),
};

/**
 * Asks a worker process about the files of a session's working folder, on `ksi.control.<process>.files`. The paths have been checked by the API, and
 * the worker checks them again.
 */
export const WorkerFilesRequest = Type.Union([
  Type.Object({ ...folder, verb: Type.Literal('find') }),
  Type.Object({
    ...folder,
    verb: Type.Literal('list'),
    path: Type.String(),
    recursive: Type.Boolean(),
    limit: Type.Integer({ minimum: 1, maximum: 1_000 }),
    after: Type.Optional(Type.String({ description: 'The path of the last entry of the previous page.' })),
  }),
  Type.Object({
    ...folder,
    verb: Type.Literal('read'),
    path: Type.String(),
    offset: Type.Integer({ minimum: 0 }),
    length: Type.Integer({ minimum: 0, maximum: PIECE_BYTES }),
  }),
  Type.Object({ ...folder, verb: Type.Literal('diff'), base: Type.String() }),
]);
export type WorkerFilesRequest = Static<typeof WorkerFilesRequest>;

/** `absent`: this host does not have the working folder. The other faults are codes of API errors. */
export const WorkerFilesFault = Type.Object({
  fault: Type.Enum(['absent', 'file_not_found', 'not_a_repository', 'files_too_large', 'worker_unreachable']),
  message: Type.String(),
});
export type WorkerFilesFault = Static<typeof WorkerFilesFault>;

/** The answers by verb. */
export const WORKER_FILES_ANSWERS = {
  find: Type.Object({ worker_id: Type.String(), changed_at: Type.Number() }),
  list: Type.Object({ entries: Type.Array(FileEntry), more: Type.Boolean() }),
  read: Type.Object({
    bytes: Type.Integer({ minimum: 0, description: 'The size of the whole file.' }),
    data: Type.String({ description: 'In base64.' }),
  }),
  diff: Type.Object({ data: Type.String({ description: 'Compressed with gzip, in base64.' }) }),
} as const;
export type WorkerFilesAnswers = { [V in keyof typeof WORKER_FILES_ANSWERS]: Static<(typeof WORKER_FILES_ANSWERS)[V]> };
