import { Type, type Static } from 'typebox';
import { pageOf, pageQuery } from '../wire/page.js';

/** A path below a working folder: no empty segment, no `.` or `..`, no control character. */
export const FILE_PATH_PATTERN = '^(?!(?:.*/)?\\.{1,2}(?:/|$))[^/\\u0000-\\u001f]+(?:/[^/\\u0000-\\u001f]+)*$';
/** A hash, branch or tag, also with `~` and `^`. It cannot be taken for an option. */
export const COMMIT_PATTERN = '^[A-Za-z0-9][A-Za-z0-9._/@^~-]{0,199}$';
const FilePath = Type.String({ pattern: FILE_PATH_PATTERN, maxLength: 1_024 });

export const FileEntry = Type.Object({
  path: Type.String({ description: 'Relative to the working folder.' }),
  type: Type.Enum(['file', 'folder', 'link', 'other'], {
    description: '`link` is a symbolic link, which KSI does not follow. `other` is a device, socket or pipe.',
  }),
  bytes: Type.Integer({ minimum: 0, description: '0 unless it is a file.' }),
  mode: Type.Integer({ minimum: 0, maximum: 0o7777, description: 'The permission bits.' }),
  modified_at: Type.String({ format: 'date-time' }),
  target: Type.Optional(Type.String({ description: 'Where a link leads.' })),
});
export type FileEntry = Static<typeof FileEntry>;

export const FilesQuery = pageQuery({
  path: Type.Optional(FilePath),
  recursive: Type.Optional(Type.Boolean({ default: false, description: 'Also list the folders below.' })),
});
export type FilesQuery = Static<typeof FilesQuery>;

export const FilePage = pageOf(FileEntry, {});
export type FilePage = Static<typeof FilePage>;

const closed = { additionalProperties: false };

export const FileQuery = Type.Object(
  {
    path: FilePath,
    offset: Type.Optional(
      Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, default: 0, description: 'The first byte.' }),
    ),
    length: Type.Optional(Type.Integer({ minimum: 1, description: 'The most bytes. Absent: up to the end.' })),
  },
  closed,
);
export type FileQuery = Static<typeof FileQuery>;

export const ArchiveQuery = Type.Object(
  { path: Type.Optional(Type.String({ ...FilePath, description: 'A folder. Absent: the whole working folder.' })) },
  closed,
);
export type ArchiveQuery = Static<typeof ArchiveQuery>;

export const DiffQuery = Type.Object(
  {
    base: Type.Optional(
      Type.String({
        pattern: COMMIT_PATTERN,
        default: 'HEAD',
        description: 'The commit to compare the working folder with: a hash, branch or tag.',
      }),
    ),
  },
  closed,
);
export type DiffQuery = Static<typeof DiffQuery>;

/** The largest archive: the sum of its files, in bytes, and their number. */
export const MAX_ARCHIVE_BYTES = 268_435_456;
export const MAX_ARCHIVE_ENTRIES = 20_000;
