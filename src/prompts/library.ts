import { statSync } from 'node:fs';
import { readdir, realpath } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Logger } from 'pino';
import { PROMPT_NAME_PATTERN, type Composition, type PROMPT_ORIGINS } from '../../contracts/prompts/compositions.js';
import type { Profile } from '../../contracts/agents/profiles.js';
import { ConfigError } from '../config/error.js';
import { readComponent } from './component-file.js';
import { MAX_COMPOSITION_BYTES, parseComposition } from './composition-file.js';
import { Folder, type ReadFile } from './folder.js';
import { parseProfile } from './profile-file.js';
import { ifExists } from '../if-exists.js';

/** KSI's own prompts. The build copies them next to this file. */
export const LIBRARY = fileURLToPath(new URL('library', import.meta.url));

/** How long the folders' contents are cached. */
const CACHE_MS = 1_000;
const MAX_PROFILE_BYTES = 1_048_576;
const NAMED = new RegExp(PROMPT_NAME_PATTERN);

export type Origin = (typeof PROMPT_ORIGINS)[number];
export type Found<T> = ReadFile<T> & { readonly origin: Origin };

interface Contents {
  readonly compositions: ReadonlyMap<string, Found<Composition>>;
  readonly profiles: ReadonlyMap<string, Found<Profile>>;
}

export interface LibraryOptions {
  /** The operator's prompts folder. Undefined: use only KSI's own prompts. */
  readonly own: string | undefined;
  /** The operator's profiles. Default: `profiles` in `own`. */
  readonly ownProfiles: string | undefined;
  readonly log: Logger;
}

/** Compositions, components and profiles in files. The operator's files take precedence over KSI's own files of the same name. */
export class PromptLibrary {
  readonly #log: Logger;
  readonly #folders: readonly string[];
  readonly #compositions: readonly { origin: Origin; folder: Folder<Composition> }[];
  readonly #profiles: readonly { origin: Origin; folder: Folder<Profile> }[];
  #contents: Contents | undefined;
  #looking: Promise<Contents> | undefined;
  #lookedAt = -Infinity;

  /** @throws {ConfigError} */
  constructor({ own, ownProfiles, log }: LibraryOptions) {
    this.#log = log;
    if (own !== undefined) demandFolder('KSI_PROMPTS', own);
    if (ownProfiles !== undefined) demandFolder('KSI_PROFILES', ownProfiles);
    this.#folders = own === undefined ? [LIBRARY] : [own, LIBRARY];
    const profiles = ownProfiles ?? (own === undefined ? undefined : join(own, 'profiles'));
    this.#compositions = [
      ...(own === undefined ? [] : [{ origin: 'own' as const, folder: compositionsIn(own) }]),
      { origin: 'library', folder: compositionsIn(LIBRARY) },
    ];
    this.#profiles = [
      ...(profiles === undefined ? [] : [{ origin: 'own' as const, folder: profilesIn(profiles) }]),
      { origin: 'library', folder: profilesIn(join(LIBRARY, 'profiles')) },
    ];
  }

  /** By name. */
  async compositions(): Promise<ReadonlyMap<string, Found<Composition>>> {
    return (await this.#current()).compositions;
  }

  /** By name. */
  async profiles(): Promise<ReadonlyMap<string, Found<Profile>>> {
    return (await this.#current()).profiles;
  }

  /** The candidates for an agent's composition: the operator's if there are any, else KSI's own. */
  async choosable(): Promise<Composition[]> {
    const all = [...(await this.compositions()).values()].filter((found) => 'value' in found);
    const own = all.filter(({ origin }) => origin === 'own');
    return (own.length > 0 ? own : all).map(({ value }) => value);
  }

  /** @throws {ComponentError} */
  component(source: string): Promise<string> {
    return readComponent(this.#folders, source);
  }

  /** Component paths below `components/` in all folders, sorted. */
  async components(): Promise<string[]> {
    const found = new Set<string>();
    for (const folder of this.#folders) for (const path of await componentsIn(folder)) found.add(path);
    return [...found].toSorted();
  }

  /** Makes the next read see all current changes. */
  reload(): void {
    this.#lookedAt = -Infinity;
  }

  async #current(): Promise<Contents> {
    if (this.#contents !== undefined && performance.now() - this.#lookedAt < CACHE_MS) return this.#contents;
    this.#looking ??= this.#look().finally(() => (this.#looking = undefined));
    return this.#looking;
  }

  /** Reads the folders. If that fails, the previous contents stay in use. */
  async #look(): Promise<Contents> {
    this.#lookedAt = performance.now();
    try {
      this.#contents = {
        compositions: await together(this.#compositions),
        profiles: await together(this.#profiles),
      };
    } catch (error) {
      if (this.#contents === undefined) throw error;
      this.#log.error({ err: error }, 'the prompts folders cannot be read; their previous contents stay in use');
    }
    return this.#contents;
  }
}

const compositionsIn = (folder: string): Folder<Composition> =>
  new Folder({
    path: join(folder, 'compositions'),
    endings: ['.yaml', '.yml'],
    named: NAMED,
    mostBytes: MAX_COMPOSITION_BYTES,
    parse: parseComposition,
  });

const profilesIn = (path: string): Folder<Profile> =>
  new Folder({ path, endings: ['.json'], named: NAMED, mostBytes: MAX_PROFILE_BYTES, parse: parseProfile });

/** The first folder that has a name wins. */
async function together<T>(
  folders: readonly { origin: Origin; folder: Folder<T> }[],
): Promise<ReadonlyMap<string, Found<T>>> {
  const found = new Map<string, Found<T>>();
  for (const { origin, folder } of folders)
    for (const each of await folder.read()) if (!found.has(each.name)) found.set(each.name, { ...each, origin });
  return new Map([...found].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

async function componentsIn(folder: string): Promise<string[]> {
  const found: string[] = [];
  const base = join(folder, 'components');
  for (const path of (await ifExists(readdir(base, { recursive: true }))) ?? []) {
    if (!path.endsWith('.md')) continue;
    // Skip links that lead out of the folder: `readComponent` refuses them.
    const real = await realpath(join(base, path)).catch(() => '');
    if (real.startsWith((await realpath(folder)) + sep)) found.push(path.split(sep).join('/'));
  }
  return found;
}

/** @throws {ConfigError} */
function demandFolder(variable: string, path: string): void {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isDirectory() !== true) throw new ConfigError([`${variable}=${JSON.stringify(path)}: is not a folder`]);
}
