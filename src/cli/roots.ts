import { createHash } from 'node:crypto';
import { existsSync, realpathSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, join, relative } from 'node:path';
import { WORKSPACE_PATTERN } from '../../contracts/tasks/workspace.js';
import { ifExistsSync } from '../if-exists.js';
import { readRoots, writeRoots } from '../workspaces/added-roots.js';
import { isWithin } from '../workspaces/path-within.js';
import { locate, type ConnectionOptions } from './connection.js';
import { confirmed, isTerminal } from './confirm.js';
import { CliError, EXIT } from './exit.js';

interface Options extends ConnectionOptions {
  readonly noInput?: true;
}

/** KSI_DIR of the cluster that commands are for, if it is on this machine. */
export function localCluster(options: ConnectionOptions): string | undefined {
  const { url, folder } = locate(options, process.env, process.cwd());
  const isLocal = url === undefined || url.from === join(folder ?? '', 'endpoints.json');
  return folder !== undefined && isLocal ? realOf(folder) : undefined;
}

const realOf = (path: string): string | undefined => ifExistsSync(() => realpathSync(path));

const isTooLarge = (path: string): boolean => path === '/' || path === realOf(homedir());

/** Adds a root and returns its name. @throws {CliError} */
export function addRoot(ksiDir: string, folder: string, named?: string): string {
  const path = realOf(folder);
  if (path === undefined || !statSync(path).isDirectory())
    throw new CliError(`There is no folder ${folder}.`, EXIT.usage);
  if (isWithin(path, ksiDir)) throw new CliError('A folder in KSI_DIR cannot be a root.', EXIT.usage);
  if (isTooLarge(path))
    throw new CliError(`${path} is too large to be a root. Choose the folder of a project.`, EXIT.usage);
  const roots = readRoots(ksiDir);
  const known = [...roots].find(([, each]) => each === path)?.[0];
  const name = named ?? known ?? nameFor(path, roots);
  if (!new RegExp(WORKSPACE_PATTERN).test(name) || name.includes('/'))
    throw new CliError('A name has letters, digits, `-` and `_`.', EXIT.usage);
  const other = roots.get(name);
  if (other !== undefined && other !== path) throw new CliError(`${name} is already the root ${other}.`, EXIT.usage);
  writeRoots(ksiDir, new Map([...roots].filter(([, each]) => each !== path)).set(name, path));
  return name;
}

/** A name that KSI_WORKSPACES hardly has: the folder's own, and a digest of its path. */
function nameFor(path: string, roots: ReadonlyMap<string, string>): string {
  const name = basename(path)
    .replace(/[^A-Za-z0-9_-]+/g, '-')
    .slice(0, 40);
  for (let digits = 6; ; digits += 6) {
    const unique = `${name}-${createHash('sha256').update(path).digest('hex').slice(0, digits)}`;
    if (!roots.has(unique)) return unique;
  }
}

/**
 * The workspace for a folder on this machine. If the folder is in no root, the operator is asked to add its repository, or the folder itself.
 * @returns undefined if the operator declines. @throws {CliError} if it cannot be asked, or the cluster is elsewhere
 */
export async function workspaceFor(folder: string, options: Options): Promise<string | undefined> {
  const ksiDir = localCluster(options);
  if (ksiDir === undefined)
    throw new CliError(
      'Only a cluster on this machine can work in this folder. Name a --workspace of the cluster.',
      EXIT.usage,
    );
  const path = realpathSync(folder);
  const known = workspaceIn(readRoots(ksiDir), path);
  if (known !== undefined) return known;
  const repository = repositoryOf(path);
  const root =
    repository !== undefined && workspaceIn(new Map([['x', repository]]), path) !== undefined ? repository : path;
  const terminal = { input: process.stdin, output: process.stderr };
  if (options.noInput === true || !isTerminal(terminal))
    throw new CliError(`No root contains ${path}. Allow it first: ksi roots add ${root}`, EXIT.usage);
  if (!(await confirmed(`Allow tasks of this cluster to read and change files in ${root}?`, terminal)))
    return undefined;
  addRoot(ksiDir, root);
  return workspaceIn(readRoots(ksiDir), path);
}

/** The workspace in the innermost root that contains the path. */
function workspaceIn(roots: ReadonlyMap<string, string>, path: string): string | undefined {
  const pattern = new RegExp(WORKSPACE_PATTERN);
  return [...roots]
    .filter(([, root]) => isWithin(path, root))
    .toSorted(([, a], [, b]) => b.length - a.length)
    .map(([name, root]) => [name, ...relative(root, path).split('/')].filter((part) => part !== '').join('/'))
    .find((workspace) => pattern.test(workspace));
}

/** The top folder of the repository that contains the path. A repository of the whole home folder does not count. */
export function repositoryOf(path: string): string | undefined {
  if (isTooLarge(path)) return undefined;
  if (existsSync(join(path, '.git'))) return path;
  return repositoryOf(dirname(path));
}
