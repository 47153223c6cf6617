import { relative } from 'node:path';

/** In bytes; the smallest limit of the supported systems. */
export const MAX_SOCKET_PATH = 103;

/** The shorter of a Unix socket's absolute and relative path, because its length is limited. @returns undefined if both are too long */
export function shortSocketPath(path: string, from: string = process.cwd()): string | undefined {
  const fromHere = relative(from, path);
  const shorter = Buffer.byteLength(fromHere) < Buffer.byteLength(path) ? fromHere : path;
  return Buffer.byteLength(shorter) > MAX_SOCKET_PATH ? undefined : shorter;
}
