import { open } from 'node:fs/promises';

/** Where LMDB's first meta page has its magic number, after the page's header (lmdb.h, MDB_MAGIC). */
const MAGIC_AT = 16;
const MAGIC = 0xbeefc0de;

/** Whether the file at `path` is an LMDB file, or none yet. */
export async function isDatabase(path: string): Promise<boolean> {
  let file;
  try {
    file = await open(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true;
    throw error;
  }
  try {
    const head = Buffer.alloc(MAGIC_AT + 4);
    const { bytesRead } = await file.read(head, 0, head.length, 0);
    return bytesRead === 0 || (bytesRead === head.length && head.readUInt32LE(MAGIC_AT) === MAGIC);
  } finally {
    await file.close();
  }
}
