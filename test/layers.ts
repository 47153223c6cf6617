import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

/**
 * Checks who imports whom, type-only imports included. In each tree a folder imports only folders that stand after it in the list, so no two
 * folders can import each other. A file beside the folders of a tree belongs to the folder `.`.
 */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  contracts: [
    '.',
    'api',
    'bridge',
    'events',
    'broker',
    'retention',
    'conversations',
    'agents',
    'prompts',
    'tasks',
    'sessions',
    'access',
    'config',
    'wire',
  ],
  src: [
    'docs',
    'cli',
    'doctor',
    'bridge',
    'cluster',
    'standin',
    'api',
    'retention',
    'conversations',
    'agents',
    'prompts',
    'tasks',
    'sessions',
    'access',
    'telemetry',
    'lists',
    'errors',
    'store',
    'events',
    'broker',
    'client',
    'tools',
    'output-schema',
    'workspaces',
    'process',
    'config',
    '.',
  ],
  workers: ['.', 'attempt', 'disk', 'files', 'queue', 'journal', 'agent-tools', 'claude', 'guard'],
};
/** Folders that import nothing of their tree but these. */
const ONLY: Readonly<Record<string, readonly string[]>> = { 'src/client': ['.'] };
/** What the workers may import of src: nothing that serves clients. */
const FOR_WORKERS = [
  'sessions/transcript',
  'store',
  'broker',
  'tools',
  'output-schema',
  'workspaces',
  'process',
  'config',
  '.',
];

const TREES = ['workers', 'src', 'contracts'];

interface Import {
  readonly from: string;
  readonly to: string;
}

const SPECIFIER = /(?:from\s+|import\s+|import\()\s*'(\.{1,2}\/[^']+)'/g;
const root = join(import.meta.dirname, '..', '..');

const imports: readonly Import[] = ['contracts', 'src', 'workers'].flatMap((tree) =>
  readdirSync(join(root, tree), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .flatMap((file) => {
      const from = join(tree, file);
      return [...readFileSync(join(root, from), 'utf8').matchAll(SPECIFIER)].map(([, specifier = '']) => ({
        from,
        to: normalize(join(dirname(from), specifier)).replace(/\.js$/, '.ts'),
      }));
    }),
);

const treeOf = (file: string): string => file.slice(0, file.indexOf('/'));
/** The folder below the tree. */
const folderOf = (file: string): string => {
  const [, folder = '', ...rest] = file.split('/');
  return rest.length === 0 ? '.' : folder;
};

const faultOf = ({ from, to }: Import): string | undefined => {
  const [tree, target] = [treeOf(from), treeOf(to)];
  if (tree === 'workers' && target === 'src') {
    const allowed = FOR_WORKERS.some((folder) => folder === folderOf(to) || to.startsWith(`src/${folder}/`));
    return allowed ? undefined : 'workers/ imports only those parts of src/ that serve no client';
  }
  if (tree !== target)
    return TREES.indexOf(tree) < TREES.indexOf(target) ? undefined : `${tree}/ imports nothing of ${target}/`;
  const order = LAYERS[tree];
  if (order === undefined) return undefined;
  const [above, below] = [folderOf(from), folderOf(to)];
  if (above === below) return undefined;
  const only = ONLY[`${tree}/${above}`];
  if (only !== undefined && !only.includes(below)) return `${tree}/${above} imports nothing else of ${tree}/`;
  for (const folder of [above, below])
    if (!order.includes(folder)) return `test/layers.ts does not say where ${tree}/${folder} stands`;
  return order.indexOf(above) < order.indexOf(below) ? undefined : `${below} stands above ${above}`;
};

const faults = imports.flatMap((each) => {
  const fault = faultOf(each);
  return fault === undefined ? [] : [`${each.from} imports ${each.to}: ${fault}`];
});
for (const fault of faults) process.stderr.write(`${fault}\n`);
if (faults.length > 0) process.exitCode = 1;
