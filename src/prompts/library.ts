import { statSync } from 'node:fs';
import { readdir, realpath } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Logger } from 'pino';
import { PROMPT_NAME_PATTERN, type Composition, type PROMPT_ORIGINS } from '../../contracts/prompts/compositions.js';
import type { Profile } from '../../contracts/agents/profiles.js';
import { ConfigError } from '../config/error.js';
import { readComponent } from './component-file.js';
import { MOST_COMPOSITION_BYTES, parseComposition } from './composition-file.js';
import { Folder, type ReadFile } from './folder.js';
import { parseProfile } from './profile-file.js';

/** What comes with KSI: the build puts it beside this file. */
export const LIBRARY = fileURLToPath(new URL('library', import.meta.url));

/** How long a change of a file may go unseen. */
const LOOK_MS = 1_000;
const MOST_PROFILE_BYTES = 1_048_576;
const NAMED = new RegExp(PROMPT_NAME_PATTERN);

export type Origin = (typeof PROMPT_ORIGINS)[number];
export type Found<T> = ReadFile<T> & { readonly origin: Origin };

interface Contents {
  readonly compositions: ReadonlyMap<string, Found<Composition>>;
  readonly profiles: ReadonlyMap<string, Found<Profile>>;
}

export interface LibraryOptions {
  /** The operator's folder of prompts. Undefined: there is only what comes with KSI. */
  readonly own: string | undefined;
  /** The operator's profiles. Default: `profiles` in `own`. */
  readonly ownProfiles: string | undefined;
  readonly log: Logger;
}

/** Compositions, components and profiles that are files: the operator's, and what comes with KSI where he has none of that name. */
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

  /** Those among which one is chosen for an agent: the operator's, if there are any. */
  async choosable(): Promise<Composition[]> {
    const all = [...(await this.compositions()).values()].filter((found) => 'value' in found);
    const own = all.filter(({ origin }) => origin === 'own');
    return (own.length > 0 ? own : all).map(({ value }) => value);
  }

  /** @throws {ComponentError} */
  component(source: string): Promise<string> {
    return readComponent(this.#folders, source);
  }

  /** Paths below `components/`, of all folders together. */
  async components(): Promise<string[]> {
    const found = new Set<string>();
    for (const folder of this.#folders) for (const path of await componentsIn(folder)) found.add(path);
    return [...found].toSorted();
  }

  /** The next who asks sees every change that there is now. */
  reload(): void {
    this.#lookedAt = -Infinity;
  }

  async #current(): Promise<Contents> {
    if (this.#contents !== undefined && performance.now() - this.#lookedAt < LOOK_MS) return this.#contents;
    this.#looking ??= this.#look().finally(() => (this.#looking = undefined));
    return this.#looking;
  }

  /** Folders that can't be read any more leave in force what they held. */
  async #look(): Promise<Contents> {
    this.#lookedAt = performance.now();
    try {
      this.#contents = {
        compositions: await together(this.#compositions),
        profiles: await together(this.#profiles),
      };
    } catch (error) {
      if (this.#contents === undefined) throw error;
      this.#log.error({ err: error }, 'the folders of prompts cannot be read; what they held before stays in force');
    }
    return this.#contents;
  }
}

const compositionsIn = (folder: string): Folder<Composition> =>
  new Folder({
    path: join(folder, 'compositions'),
    endings: ['.yaml', '.yml'],
    named: NAMED,
    mostBytes: MOST_COMPOSITION_BYTES,
    parse: parseComposition,
  });

const profilesIn = (path: string): Folder<Profile> =>
  new Folder({ path, endings: ['.json'], named: NAMED, mostBytes: MOST_PROFILE_BYTES, parse: parseProfile });

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
  for (const path of await listed(base)) {
    if (!path.endsWith('.md')) continue;
    // As when it is read: one that really lies elsewhere is none.
    const real = await realpath(join(base, path)).catch(() => '');
    if (real.startsWith((await realpath(folder)) + sep)) found.push(path.split(sep).join('/'));
  }
  return found;
}

async function listed(folder: string): Promise<string[]> {
  try {
    return await readdir(folder, { recursive: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** @throws {ConfigError} */
function demandFolder(variable: string, path: string): void {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isDirectory() !== true) throw new ConfigError([`${variable}=${JSON.stringify(path)}: is no folder`]);
}
