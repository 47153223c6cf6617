import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { MovedItem, MoveOptions } from './item.js';
import { bytesOf } from './json-file.js';

/** Writes a file, but not over another one unless that is asked for. @returns what became of it. */
export async function putFile(
  path: string,
  content: Uint8Array | string,
  { dryRun, overwrite }: MoveOptions & { readonly overwrite: boolean },
): Promise<Pick<MovedItem, 'outcome' | 'note'>> {
  try {
    const known = await bytesOf(path);
    if (known?.equals(Buffer.from(content)) === true) return { outcome: 'there' };
    if (known !== undefined && !overwrite)
      return { outcome: 'kept', note: `${path} is another, which stays; --overwrite replaces it.` };
    if (dryRun) return { outcome: 'brought' };
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await writeFile(path, content, { mode: 0o600 });
    return { outcome: 'brought' };
  } catch (error) {
    return { outcome: 'failed', note: (error as Error).message };
  }
}
