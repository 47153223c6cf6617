import { rename, symlink, writeFile } from 'node:fs/promises';

let drafts = 0;
const draftOf = (path: string): string => `${path}.${process.pid}-${(drafts += 1)}`;

/** Replaces a file atomically. */
export async function replaceFile(path: string, content: string): Promise<void> {
  const draft = draftOf(path);
  await writeFile(draft, content, { mode: 0o600 });
  await rename(draft, path);
}

/** Replaces a symbolic link atomically. */
export async function replaceLink(path: string, target: string): Promise<void> {
  const draft = draftOf(path);
  await symlink(target, draft);
  await rename(draft, path);
}
