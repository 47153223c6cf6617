import { relative } from 'node:path';

/** Whether `path` is `folder` or something in it, by their names alone. */
export function isBelow(path: string, folder: string): boolean {
  const from = relative(folder, path);
  return from !== '..' && !from.startsWith('../') && !from.startsWith('/');
}
