import { open } from 'node:fs/promises';
import { ifExists } from '../if-exists.js';

/** The last lines of a file, from at most its last `bytes` bytes. '' if there is no such file. */
export async function endOfFile(path: string, lines: number, bytes = 65_536): Promise<string> {
  const file = await ifExists(open(path, 'r'));
  if (file === undefined) return '';
  try {
    const { size } = await file.stat();
    const length = Math.min(size, bytes);
    const buffer = Buffer.alloc(length);
    await file.read(buffer, 0, length, size - length);
    return buffer.toString('utf8').trimEnd().split('\n').slice(-lines).join('\n');
  } finally {
    await file.close();
  }
}
