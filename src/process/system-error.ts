import { statSync } from 'node:fs';
import { userInfo } from 'node:os';

/** What an error code of the system means to its reader, and what to do. */
const MEANING: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EEXIST: 'the name is taken by a file of another kind',
  EISDIR: 'it is a folder, but a file is needed',
  ELOOP: 'its symbolic links form a loop',
  EMFILE: 'this process has too many open files. Raise the limit (ulimit -n)',
  ENAMETOOLONG: 'its name is too long',
  ENFILE: 'the system has too many open files',
  ENOENT: 'there is no such file or folder',
  ENOSPC: 'the disk is full. Free some space and run this again',
  ENOTDIR: 'a part of the path is a file, but a folder is needed',
  EDQUOT: 'the disk quota of this user is used up',
  EROFS: 'the file system is read-only',
  EIO: 'the device reports an error',
};

const isSystemError = (error: unknown): error is NodeJS.ErrnoException =>
  error instanceof Error && typeof (error as NodeJS.ErrnoException).syscall === 'string';

/**
 * Explains an error of the file system: the path, the reason, and the owner if access is denied.
 * @returns undefined for any other error
 */
export function explainSystemError(error: unknown): string | undefined {
  if (!isSystemError(error)) return undefined;
  const { code = '', path, syscall = '' } = error;
  // A folder that was deleted has no path any more.
  if (syscall.endsWith('uv_cwd'))
    return 'The working folder was deleted. Change to another folder (cd) and run this again.';
  const meaning = MEANING[code];
  if (meaning === undefined) return undefined;
  if (path === undefined) return syscall === 'write' ? `Cannot write the output: ${meaning}.` : undefined;
  return `Cannot use ${path}: ${meaning}.${meaning === MEANING['EACCES'] ? ownerOf(path) : ''}`;
}

/** Who owns the nearest part of the path that can be seen. */
function ownerOf(path: string): string {
  for (let at = path; at !== '' && at !== '/'; at = at.slice(0, at.lastIndexOf('/'))) {
    try {
      const { uid } = statSync(at);
      const me = userInfo();
      if (uid === me.uid) return ` Its mode does not allow it: check \`ls -ld ${at}\`.`;
      return ` ${at} belongs to the user with the id ${uid}, and you are ${me.username} (${me.uid}). Run this as its owner, or set KSI_URL and KSI_TOKEN.`;
    } catch {
      // Not visible: its parent may be.
    }
  }
  return '';
}
