import { resolve } from 'node:path';
import type { Command } from '../command.js';
import { CliError, EXIT } from '../exit.js';
import type { GlobalOptions } from '../options.js';
import { printOne, printTable } from '../output/print.js';
import { say } from '../output/say.js';
import { addRoot, localCluster } from '../roots.js';
import { readRoots, writeRoots } from '../../workspaces/added-roots.js';

interface AddOptions extends GlobalOptions {
  readonly name?: string;
}

/** `ksi roots` */
export function register(program: Command): void {
  const roots = program
    .command('roots')
    .description('List, add and remove folders of this machine that tasks may work in')
    .withNotes(
      'A running cluster uses a change from its next task on. Tasks name a root, or a folder in it, as their --workspace. KSI_WORKSPACES configures further roots, also on other machines.',
    )
    .withExamples('ksi roots', 'ksi roots add', 'ksi roots add ~/website --name website', 'ksi roots remove website');
  roots
    .command('list', { isDefault: true })
    .description('List the added roots')
    .withExamples('ksi roots', 'ksi roots list -o json')
    .runs(list);
  roots
    .command('add')
    .description('Let tasks work in a folder')
    .argument('[folder]', 'the folder', '.')
    .option('--name <name>', 'its name (default: the folder’s name and a digest of its path)')
    .withValues({ folder: 'files' })
    .withExamples('ksi roots add', 'ksi roots add ~/website --name website')
    .runs(add);
  roots
    .command('remove')
    .description('Let new tasks no longer work in a root')
    .argument('<name>', 'its name')
    .withExamples('ksi roots remove website')
    .runs(remove);
}

function folderOf(options: GlobalOptions): string {
  const folder = localCluster(options);
  if (folder !== undefined) return folder;
  throw new CliError('No cluster of this machine is known here. Set KSI_DIR, or run `ksi up` first.');
}

async function list(options: GlobalOptions): Promise<void> {
  const roots = [...readRoots(folderOf(options))].map(([name, path]) => ({ name, path }));
  printTable(roots, { head: ['ROOT', 'FOLDER'], row: ({ name, path }) => [name, path] }, options);
  if (roots.length === 0 && options.output === 'text') say(options, 'No added roots. Add this folder: ksi roots add');
}

async function add(folder: string, options: AddOptions): Promise<void> {
  const name = addRoot(folderOf(options), resolve(folder), options.name);
  printOne({ name, path: resolve(folder) }, () => `${name}\n`, options);
  say(options, `Tasks may work there: ksi spawn --workspace ${name} "…"`);
}

async function remove(name: string, options: GlobalOptions): Promise<void> {
  const ksiDir = folderOf(options);
  const roots = readRoots(ksiDir);
  if (!roots.delete(name)) throw new CliError(`There is no added root ${name}. See: ksi roots`, EXIT.usage);
  writeRoots(ksiDir, roots);
  say(options, `Removed the root ${name}. Its files are unchanged.`);
}
