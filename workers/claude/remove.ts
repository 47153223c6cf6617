import { randomUUID } from 'node:crypto';
import { chmod, lstat, opendir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** Half of what a path may have: a deeper folder moves up before it is removed. */
const LONGEST_PATH = 2_048;

/**
 * Removes all that a run may have left at `path`. `rm` alone fails in folders without the permission to write (Go's module cache has
 * them) and below paths that are too long. Links are removed and never followed.
 * @throws what `rm` does where not even that helps, such as at an immutable file.
 */
export async function removeAll(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true, maxRetries: 3 });
  } catch {
    await makeRemovable(path);
    await rm(path, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** One folder at a time: a run may have made millions. What cannot be changed shows when it cannot be removed. */
async function makeRemovable(top: string): Promise<void> {
  const pending = [top];
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    try {
      if (!(await lstat(path)).isDirectory()) continue;
      await chmod(path, 0o700);
      const folder = path.length > LONGEST_PATH ? join(top, randomUUID()) : path;
      if (folder !== path) await rename(path, folder);
      for await (const entry of await opendir(folder)) if (entry.isDirectory()) pending.push(join(folder, entry.name));
    } catch {
      continue;
    }
  }
}
