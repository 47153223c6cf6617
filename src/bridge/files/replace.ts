import { rename, symlink, writeFile } from 'node:fs/promises';

let drafts = 0;
const draftOf = (path: string): string => `${path}.${process.pid}-${(drafts += 1)}`;

/** Writes a file as a whole: a reader sees the old or the new one. */
export async function replaceFile(path: string, content: string): Promise<void> {
  const draft = draftOf(path);
  await writeFile(draft, content, { mode: 0o600 });
  await rename(draft, path);
}

/** The same for a symbolic link. */
export async function replaceLink(path: string, target: string): Promise<void> {
  const draft = draftOf(path);
  await symlink(target, draft);
  await rename(draft, path);
}
