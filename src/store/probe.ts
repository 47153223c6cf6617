import { constants } from 'node:os';
import { ABORT, open } from 'lmdb';
import type { LmdbFileSpec } from './file.js';

const { EACCES, EAGAIN, EDQUOT, EMFILE, ENFILE, ENOMEM, ENOSPC, EPERM, EROFS } = constants.errno;
/** Faults of the host. LMDB reports EINVAL for some damage, so other numbers count as damage. */
const NOT_DAMAGE = new Set([EACCES, EAGAIN, EDQUOT, EMFILE, ENFILE, ENOMEM, ENOSPC, EPERM, EROFS]);

/**
 * Reads an LMDB file to its end, in a process that may crash by it. Exit code 0: it is sound, or its state cannot be told (no memory, no permission).
 * Arguments: the path, and the databases as JSON.
 */
const [path = '', databases = '[]'] = process.argv.slice(2);
try {
  const root = open<Buffer, string>({ path, noSubdir: true, maxDbs: 8, encoding: 'binary' });
  for (const { value } of root.getRange()) void value;
  for (const { name, encoding } of JSON.parse(databases) as LmdbFileSpec['databases'])
    for (const { value } of root.openDB<unknown, string>({ name, encoding }).getRange()) void value;
  // Its list of free pages too.
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
