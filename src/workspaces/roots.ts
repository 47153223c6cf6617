import { realpath, stat } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { WORKSPACE_PATTERN } from '../../contracts/tasks/workspace.js';
import { isBelow } from './below.js';
import { ConfigError } from '../config/error.js';
import { listOf } from '../config/load.js';

/** Where a workspace is on this host, or why it can't be used. `absent`: its root isn't on this host at all. */
export type FoundWorkspace =
  { readonly kind: 'found'; readonly path: string } | { readonly kind: 'refused' | 'absent'; readonly why: string };

const PATTERN = new RegExp(WORKSPACE_PATTERN);

/** The folders that the operator lets tasks work in: KSI_WORKSPACES. */
export class Workspaces {
  readonly #roots: ReadonlyMap<string, string>;

  /** @param configured `name=/path`, by comma. @throws {ConfigError} */
  constructor(configured: string) {
    const roots = new Map<string, string>();
    for (const item of listOf(configured)) {
      const at = item.indexOf('=');
      const name = item.slice(0, at);
      if (roots.has(name)) throw new ConfigError([`KSI_WORKSPACES: the name ${name} stands for two folders`]);
      roots.set(name, resolve(item.slice(at + 1)));
    }
    this.#roots = roots;
  }

  /** The operator has named none. */
  get none(): boolean {
    return this.#roots.size === 0;
  }

  /**
   * By its real path, which must be the one that was asked for: a symbolic link on the way below its root could lead anywhere.
   * @param workspace `<root>` or `<root>/<folder>/…`
   */
  async find(workspace: string): Promise<FoundWorkspace> {
    const [name = '', ...folders] = workspace.split('/');
    const configured = this.#roots.get(name);
    // Commands come from the broker, whose writers are not this process.
    if (!PATTERN.test(workspace)) return refused(`${JSON.stringify(workspace)} is not of the form name/folder`);
    if (configured === undefined)
      return refused(
        `there is no root ${name}: ${this.none ? 'the operator has set none in KSI_WORKSPACES' : `there is ${[...this.#roots.keys()].join(', ')}`}`,
      );
    try {
      const root = await realpath(configured);
      const outer = await this.#movedWithin(name, configured, root);
      if (outer !== undefined)
        return refused(`a symbolic link inside the root ${outer} is on the way to the root ${name}`);
      const path = join(root, ...folders);
      if ((await realpath(path)) !== path) return refused(`a symbolic link is on the way to ${workspace}`);
      return (await stat(path)).isDirectory() ? { kind: 'found', path } : refused(`${workspace} is no folder`);
    } catch (error) {
      const { code, path } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT' && path === configured)
        return { kind: 'absent', why: `the root ${name} is not on this host` };
      if (code === 'ENOENT' || code === 'ENOTDIR') return refused(`there is no folder ${workspace}`);
      return refused(`${workspace} cannot be reached (${code ?? String(error)})`);
    }
  }

  /**
   * A root below another one must not be reached through a link there: a run that works in the outer root could have made it.
   * @returns the name of that other root.
   */
  async #movedWithin(name: string, configured: string, real: string): Promise<string | undefined> {
    for (const [outer, path] of this.#roots) {
      const outerReal = await realpath(path).catch(() => undefined);
      if (outer === name || outerReal === undefined) continue;
      for (const start of [path, outerReal])
        if (isBelow(configured, start) && join(outerReal, relative(start, configured)) !== real) return outer;
    }
    return undefined;
  }
}

const refused = (why: string): FoundWorkspace => ({ kind: 'refused', why });

/** How many tasks may write at once in the workspaces of a root, by KSI_WORKSPACE_WRITERS; 0: any number. */
export function writersIn(configured: string): (root: string) => number {
  const [most = '', ...others] = listOf(configured);
  const own = new Map(others.map((item) => item.split('=') as [string, string]));
  return (root) => Number(own.get(root) ?? most);
}
