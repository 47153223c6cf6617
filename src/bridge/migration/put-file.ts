import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { MovedItem, MoveOptions } from './item.js';
import { bytesOf } from './json-file.js';

/** Writes a file. Replaces an existing one that differs only with `overwrite`. Never rejects. */
export async function putFile(
  path: string,
  content: Uint8Array | string,
  { dryRun, overwrite }: MoveOptions & { readonly overwrite: boolean },
): Promise<Pick<MovedItem, 'outcome' | 'note'>> {
  try {
    const known = await bytesOf(path);
    if (known?.equals(Buffer.from(content)) === true) return { outcome: 'there' };
    if (known !== undefined && !overwrite)
      return { outcome: 'kept', note: `${path} differs and was kept. Use --overwrite to replace it.` };
    if (dryRun) return { outcome: 'brought' };
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await writeFile(path, content, { mode: 0o600 });
    return { outcome: 'brought' };
  } catch (error) {
    return { outcome: 'failed', note: (error as Error).message };
  }
}
