import { relative } from 'node:path';

/** Whether `path` is `folder` or lies in it. Compares names only: resolve links first. */
export function isWithin(path: string, folder: string): boolean {
  const from = relative(folder, path);
  return from !== '..' && !from.startsWith('../') && !from.startsWith('/');
}
