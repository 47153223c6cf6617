import { statSync } from 'node:fs';

/** Distinguishes a folder from its copies. A move within the file system keeps the id. Every copy has another id. */
export function folderId(folder: string): string {
  const { dev, ino } = statSync(folder, { bigint: true });
  return `${dev}:${ino}`;
}
