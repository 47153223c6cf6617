import { basename, extname, join, resolve } from 'node:path';
import { parseComposition } from '../../prompts/composition-file.js';
import type { WorkDir } from '../files/work-dir.js';
import type { MovedItem, MoveOptions } from './item.js';
import { filesBelow, regularFile, textIn } from './json-file.js';
import { putFile } from './put-file.js';

const KINDS = [
  { kind: 'composition', folder: 'compositions', endings: ['.yaml', '.yml'] },
  { kind: 'component', folder: 'components', endings: ['.md'] },
] as const;

/**
 * Copies the old daemon's compositions and components into KSI's folder of prompts. Their format is the same.
 * @param target the folder that the APIs' KSI_PROMPTS names; undefined if unknown, and then nothing is copied
 */
export async function* importPrompts(
  dir: WorkDir,
  target: string | undefined,
  options: MoveOptions & { readonly overwrite: boolean },
): AsyncGenerator<MovedItem> {
  for (const { kind, folder, endings } of KINDS) {
    for (const name of await filesBelow(join(dir.prompts, folder))) {
      if (!endings.some((ending) => name.endsWith(ending))) continue;
      const item = { kind, name };
      const path = join(dir.prompts, folder, name);
      const fault = kind === 'composition' ? await compositionFault(path, basename(name, extname(name))) : undefined;
      if (fault !== undefined) {
        yield { ...item, outcome: 'failed', note: fault };
        continue;
      }
      if (target === undefined)
        yield { ...item, outcome: 'left', note: `To let KSI read it there, start KSI with KSI_PROMPTS=${dir.prompts}` };
      else if (resolve(target) === dir.prompts) yield { ...item, outcome: 'there' };
      else {
        const content = await regularFile(path);
        yield { ...item, ...(await putFile(join(target, folder, name), content, options)) };
      }
    }
  }
}

/** @returns why KSI cannot read the composition */
async function compositionFault(path: string, name: string): Promise<string | undefined> {
  try {
    parseComposition(await textIn(path), name);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
