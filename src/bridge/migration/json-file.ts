import { constants } from 'node:fs';
import { open, readdir } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { isRecord, parseText } from '../../json.js';
import { ifExists } from '../../if-exists.js';

/** @throws {Error} whose message does not name the file */
export async function readJsonFile(path: string): Promise<unknown> {
  const text = await textIn(path);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`It is not JSON: ${(error as Error).message}`, { cause: error });
  }
}

/** Reads lines of JSON objects. Other lines only count as `broken`: the last line of a file that is being written may be partial. */
export async function readJsonLines(path: string): Promise<{ entries: Record<string, unknown>[]; broken: number }> {
  const lines = (await textIn(path)).split('\n').filter((line) => line.trim() !== '');
  const entries = lines.map(parseText).filter(isRecord);
  return { entries, broken: lines.length - entries.length };
}

/** The sorted names in a folder. @returns [] if there is no such folder */
export async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).toSorted();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return [];
    throw error;
  }
}

/** The sorted relative paths of all files below a folder, with `/` as separator. @returns [] if there is no such folder */
export async function filesBelow(folder: string): Promise<string[]> {
  const found = (await ifExists(readdir(folder, { recursive: true, withFileTypes: true }))) ?? [];
  return found
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => relative(folder, join(parentPath, name)).split(sep).join('/'))
    .toSorted();
}

/** @returns undefined if there is no such file */
export const bytesOf = (path: string): Promise<Buffer | undefined> => ifExists(regularFile(path));

export const textIn = async (path: string): Promise<string> => (await regularFile(path)).toString('utf8');

/** Reads a file. A pipe or device might never end. @throws {Error} if it is not a regular file */
export async function regularFile(path: string): Promise<Buffer> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    if (!(await file.stat()).isFile()) throw new Error('It is not a regular file.');
    return await file.readFile();
  } finally {
    await file.close();
  }
}
