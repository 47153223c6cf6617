import { realpath, stat } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { WORKSPACE_PATTERN } from '../../contracts/tasks/workspace.js';
import { isWithin } from './path-within.js';
import { ConfigError } from '../config/error.js';
import { listOf } from '../config/load.js';

/** The path of a workspace on this host, or why it cannot be used. `absent`: this host does not have its root. */
export type FoundWorkspace =
  { readonly kind: 'found'; readonly path: string } | { readonly kind: 'refused' | 'absent'; readonly why: string };

const PATTERN = new RegExp(WORKSPACE_PATTERN);

/** The folders in which the operator lets tasks work: KSI_WORKSPACES, and those added while the cluster runs. */
export class Workspaces {
  readonly #configured: ReadonlyMap<string, string>;
  readonly #added: () => ReadonlyMap<string, string>;

  /**
   * @param configured `name=/path` items, separated by commas.
   * @param added the roots that were added meanwhile. A name that is configured with another path stands for neither.
   * @throws {ConfigError}
   */
  constructor(configured: string, added: () => ReadonlyMap<string, string> = () => new Map()) {
    this.#added = added;
    const roots = new Map<string, string>();
    for (const item of listOf(configured)) {
      const at = item.indexOf('=');
      const name = item.slice(0, at);
      if (roots.has(name))
        throw new ConfigError([`KSI_WORKSPACES uses the name ${name} twice: give each folder its own name`]);
      roots.set(name, resolve(item.slice(at + 1)));
    }
    this.#configured = roots;
  }

  get #roots(): ReadonlyMap<string, string> {
    return new Map([...this.#added(), ...this.#configured]);
  }

  /** Whether two roots have the name. */
  #isAmbiguous(name: string): boolean {
    const [configured, added] = [this.#configured.get(name), this.#added().get(name)];
    return configured !== undefined && added !== undefined && configured !== added;
  }

  /** Whether there is no root. */
  get none(): boolean {
    return this.#roots.size === 0;
  }

  /**
   * Finds the real path of a workspace. Refuses a symbolic link below the root, which could lead anywhere.
   * @param workspace `<root>` or `<root>/<folder>/…`
   */
  async find(workspace: string): Promise<FoundWorkspace> {
    const [name = '', ...folders] = workspace.split('/');
    const roots = this.#roots;
    const configured = roots.get(name);
    // The name may come from the broker, so this process has not checked it yet.
    if (!PATTERN.test(workspace)) return refused(`${JSON.stringify(workspace)} does not have the form name/folder`);
    if (this.#isAmbiguous(name))
      return refused(`KSI_WORKSPACES and \`ksi roots\` name different folders ${name}: add the folder by another name`);
    if (configured === undefined)
      return refused(
        `there is no root ${name}: ${this.none ? 'the operator has added none with `ksi roots add` or KSI_WORKSPACES' : `the roots are ${[...roots.keys()].join(', ')}`}`,
      );
    try {
      const root = await realpath(configured);
      const outer = await this.#movedWithin(name, configured, root);
      if (outer !== undefined)
        return refused(`the path to the root ${name} contains a symbolic link inside the root ${outer}`);
      const path = join(root, ...folders);
      if ((await realpath(path)) !== path) return refused(`the path to ${workspace} contains a symbolic link`);
      return (await stat(path)).isDirectory() ? { kind: 'found', path } : refused(`${workspace} is not a folder`);
    } catch (error) {
      const { code, path } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT' && path === configured)
        return { kind: 'absent', why: `the root ${name} is not on this host` };
      if (code === 'ENOENT' || code === 'ENOTDIR') return refused(`there is no folder ${workspace}`);
      return refused(`${workspace} cannot be reached (${code ?? String(error)})`);
    }
  }

  /**
   * The name of a workspace relative to the outermost root that contains its folder. All names of a folder give the same result. It may not be a
   * valid name for a request.
   * @returns undefined if the name is invalid or its root is unknown
   */
  async outermost(workspace: string): Promise<string | undefined> {
    if (!PATTERN.test(workspace)) return undefined;
    const [name = '', ...folders] = workspace.split('/');
    const real = new Map<string, string>();
    for (const [root, path] of this.#roots) real.set(root, await realpath(path).catch(() => path));
    const own = real.get(name);
    if (own === undefined) return undefined;
    const [outer = name] = [...real.keys()]
      .filter((root) => isWithin(own, real.get(root) ?? own))
      .toSorted((a, b) => (real.get(a) ?? '').length - (real.get(b) ?? '').length || (a < b ? -1 : 1));
    const between = relative(real.get(outer) ?? own, own).split('/');
    return [outer, ...between, ...folders].filter((part) => part !== '').join('/');
  }

  /**
   * Whether the path to a root contains a link inside another root. A run in the outer root could have created that link.
   * @returns the name of the outer root
   */
  async #movedWithin(name: string, configured: string, real: string): Promise<string | undefined> {
    for (const [outer, path] of this.#roots) {
      const outerReal = await realpath(path).catch(() => undefined);
      if (outer === name || outerReal === undefined) continue;
      for (const start of [path, outerReal])
        if (isWithin(configured, start) && join(outerReal, relative(start, configured)) !== real) return outer;
    }
    return undefined;
  }
}

const refused = (why: string): FoundWorkspace => ({ kind: 'refused', why });

/** How many tasks may write at once in each workspace of a root, by KSI_WORKSPACE_WRITERS. 0 means any number. */
export function writersIn(configured: string): (root: string) => number {
  const [standard = '', ...others] = listOf(configured);
  const own = new Map(others.map((item) => item.split('=') as [string, string]));
  return (root) => Number(own.get(root) ?? standard);
}
