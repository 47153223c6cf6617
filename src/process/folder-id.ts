import { statSync } from 'node:fs';

/** Tells a folder from a copy of it. Moving the folder within its file system keeps the id; every copy has another one. */
export function folderId(folder: string): string {
  const { dev, ino } = statSync(folder, { bigint: true });
  return `${dev}:${ino}`;
}
