import { readFile, realpath, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';

export const MOST_COMPONENT_BYTES = 1_048_576;

/** Why a component can't be read. */
export class ComponentError extends Error {
  override readonly name = 'ComponentError';
}

/**
 * The text of a component, from the first of the folders that has it.
 * @param source relative to the folder, below which its file must really be: no `..`, no symbolic link that leads out.
 * @throws {ComponentError}
 */
export async function readComponent(folders: readonly string[], source: string): Promise<string> {
  const steps = source.split('/');
  if (source.includes('\0') || source.includes('\\') || steps.some((step) => ['', '.', '..'].includes(step)))
    throw new ComponentError(`${JSON.stringify(source)} is not a path below the folder of prompts`);
  for (const folder of folders) {
    const text = await readBelow(folder, join(...steps), source);
    if (text !== undefined) return text;
  }
  throw new ComponentError(`There is no ${source}`);
}

/** Undefined: the folder has no such file. */
async function readBelow(folder: string, path: string, source: string): Promise<string | undefined> {
  try {
    const root = await realpath(folder);
    const file = await realpath(join(root, path));
    if (!file.startsWith(root + sep)) throw new ComponentError(`${source} leads out of the folder of prompts`);
    const { size, isFile } = await statOf(file);
    if (!isFile) throw new ComponentError(`${source} is no file`);
    if (size > MOST_COMPONENT_BYTES) throw new ComponentError(`${source} has more than ${MOST_COMPONENT_BYTES} bytes`);
    return await readFile(file, 'utf8');
  } catch (error) {
    if (error instanceof ComponentError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new ComponentError(`${source} cannot be read (${code ?? String(error)})`, { cause: error });
  }
}

async function statOf(file: string): Promise<{ size: number; isFile: boolean }> {
  const found = await stat(file);
  return { size: found.size, isFile: found.isFile() };
}
