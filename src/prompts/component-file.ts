import { readFile, realpath, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';

export const MAX_COMPONENT_BYTES = 1_048_576;

/** A component cannot be read. */
export class ComponentError extends Error {
  override readonly name = 'ComponentError';
}

/**
 * Reads a component from the first folder that has it.
 * @param source a relative path. `..` and symbolic links that lead out of the folder are refused.
 * @throws {ComponentError}
 */
export async function readComponent(folders: readonly string[], source: string): Promise<string> {
  const steps = source.split('/');
  if (source.includes('\0') || source.includes('\\') || steps.some((step) => ['', '.', '..'].includes(step)))
    throw new ComponentError(`${JSON.stringify(source)} is not a path below the prompts folder`);
  for (const folder of folders) {
    const text = await readBelow(folder, join(...steps), source);
    if (text !== undefined) return text;
  }
  throw new ComponentError(`There is no component ${source}. Create the file, or correct the path`);
}

/** Undefined: the folder does not have the file. */
async function readBelow(folder: string, path: string, source: string): Promise<string | undefined> {
  try {
    const root = await realpath(folder);
    const file = await realpath(join(root, path));
    if (!file.startsWith(root + sep))
      throw new ComponentError(`${source} is a link that leads out of the prompts folder`);
    const found = await stat(file);
    if (!found.isFile()) throw new ComponentError(`${source} is not a file`);
    if (found.size > MAX_COMPONENT_BYTES)
      throw new ComponentError(`${source} has more than ${MAX_COMPONENT_BYTES} bytes`);
    return await readFile(file, 'utf8');
  } catch (error) {
    if (error instanceof ComponentError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new ComponentError(`${source} cannot be read (${code ?? String(error)})`, { cause: error });
  }
}
