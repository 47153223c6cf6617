import { open } from 'node:fs/promises';

/** Where LMDB's first meta page has its magic number (MDB_MAGIC): after the page's header, which is 24 bytes in lmdb-js and 16 in LMDB 0.9. */
const MAGIC_AT = [24, 16];
const MAGIC = 0xbeefc0de;
const HEAD_BYTES = Math.max(...MAGIC_AT) + 4;

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
    const head = Buffer.alloc(HEAD_BYTES);
    const { bytesRead } = await file.read(head, 0, head.length, 0);
    return bytesRead === 0 || (bytesRead === head.length && MAGIC_AT.some((at) => head.readUInt32LE(at) === MAGIC));
  } finally {
    await file.close();
  }
}
