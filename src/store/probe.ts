import { constants } from 'node:os';
import { ABORT, open } from 'lmdb';
import type { LmdbFileSpec } from './damaged-files.js';

const { EACCES, EAGAIN, EDQUOT, EMFILE, ENFILE, ENOMEM, ENOSPC, EPERM, EROFS } = constants.errno;
/** Faults of the host. All other codes count as damage: LMDB reports EINVAL for some damage. */
const NOT_DAMAGE = new Set([EACCES, EAGAIN, EDQUOT, EMFILE, ENFILE, ENOMEM, ENOSPC, EPERM, EROFS]);

/**
 * Reads a whole LMDB file in a process that may crash. Exit code 0: the file is sound, or cannot be checked (no memory, no permission).
 * Arguments: the path, and the databases as JSON.
 */
const [path = '', databases = '[]'] = process.argv.slice(2);
try {
  const root = open<Buffer, string>({ path, noSubdir: true, maxDbs: 8, encoding: 'binary' });
  for (const { value } of root.getRange()) void value;
  for (const { name, encoding } of JSON.parse(databases) as LmdbFileSpec['databases'])
    for (const { value } of root.openDB<unknown, string>({ name, encoding }).getRange()) void value;
  // Checks the free list too.
  root.transactionSync(() => {
    void root.put('probe', Buffer.alloc(1));
    return ABORT;
  });
  process.disconnect();
} catch (error) {
  const { code, message } = error as Error & { code?: unknown };
  process.exitCode = NOT_DAMAGE.has(Number(code)) ? 0 : 1;
  process.send?.(message, () => process.disconnect());
}
