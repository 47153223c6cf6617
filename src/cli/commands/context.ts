import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from '../command.js';
import { locate } from '../connection.js';
import { readContexts, writeContexts, type Cluster } from '../contexts.js';
import { CliError, EXIT } from '../exit.js';
import type { GlobalOptions } from '../options.js';
import { printTable } from '../output/print.js';
import { say } from '../output/say.js';

interface AddOptions extends GlobalOptions {
  readonly tokenFile?: string;
}

/** `ksi context` */
export function register(program: Command): void {
  const context = program
    .command('context')
    .description('Save clusters by name, and choose the one that ksi uses where no other is named')
    .withNotes(
      'Options, KSI_URL, KSI_DIR and a .ksi folder here or above come first. The contexts are stored below XDG_CONFIG_HOME (~/.config/ksi), readable only by you.',
    )
    .withExamples(
      'ksi context add home',
      'ksi context add work --url https://ksi.example --token-file token',
      'ksi context use work',
    );
  context
    .command('list', { isDefault: true })
    .description('List the saved clusters')
    .withExamples('ksi context', 'ksi context list -o json')
    .runs(list);
  context
    .command('add')
    .description('Save the cluster of --dir or --url, or else the one that is found here, and use it')
    .argument('<name>', 'a name for it')
    .option('--token-file <file>', 'the file with the token, which is stored')
    .withValues({ tokenFile: 'files' })
    .withExamples('ksi context add home', 'ksi context add work --url https://ksi.example --token-file token')
    .runs(add);
  context
    .command('use')
    .description('Use a saved cluster')
    .argument('<name>', 'its name')
    .withExamples('ksi context use work')
    .runs(use);
  context
    .command('remove')
    .description('Forget a saved cluster')
    .argument('<name>', 'its name')
    .withExamples('ksi context remove work')
    .runs(remove);
}

async function list(options: GlobalOptions): Promise<void> {
  const { current, contexts } = readContexts(process.env);
  const all = Object.entries(contexts).map(([name, cluster]) => ({
    name,
    current: name === current,
    cluster: 'dir' in cluster ? cluster.dir : cluster.url,
  }));
  const row = (each: (typeof all)[number]): string[] => [each.name, each.cluster, each.current ? 'in use' : ''];
  printTable(all, { head: ['NAME', 'CLUSTER', ''], row }, options);
  if (all.length === 0 && options.output === 'text')
    say(options, 'No contexts. Save this cluster: ksi context add NAME');
}

async function add(name: string, options: AddOptions): Promise<void> {
  const cluster = clusterOf(options);
  writeContexts(process.env, { current: name, contexts: { ...readContexts(process.env).contexts, [name]: cluster } });
  say(options, `Using ${name}: ${'dir' in cluster ? cluster.dir : cluster.url}`);
}

/** @throws {CliError} */
function clusterOf(options: AddOptions): Cluster {
  const { url, token, folder } = locate({ ...options, ...tokenIn(options.tokenFile) }, process.env, process.cwd());
  const isRemote = options.url !== undefined || process.env['KSI_URL'] !== undefined;
  if (!isRemote && folder !== undefined) return { dir: resolve(folder) };
  if (url !== undefined && token !== undefined) return { url: url.value, token: token.value };
  throw new CliError('Name the cluster: --dir FOLDER, or --url URL with --token-file FILE.', EXIT.usage);
}

function tokenIn(file: string | undefined): { readonly token?: string } {
  if (file === undefined) return {};
  try {
    return { token: readFileSync(file, 'utf8').trim() };
  } catch (error) {
    throw new CliError(`The token cannot be read: ${(error as Error).message}`, EXIT.usage, error);
  }
}

async function use(name: string, options: GlobalOptions): Promise<void> {
  const { contexts } = readContexts(process.env);
  mustHave(contexts, name);
  writeContexts(process.env, { current: name, contexts });
  say(options, `Using ${name}.`);
}

async function remove(name: string, options: GlobalOptions): Promise<void> {
  const { current, contexts } = readContexts(process.env);
  mustHave(contexts, name);
  const { [name]: _removed, ...others } = contexts;
  writeContexts(process.env, { ...(current === name || current === undefined ? {} : { current }), contexts: others });
  say(options, `Removed ${name}. Its cluster is unchanged.`);
}

/** @throws {CliError} */
function mustHave(contexts: Readonly<Record<string, Cluster>>, name: string): void {
  if (!Object.hasOwn(contexts, name)) throw new CliError(`There is no context ${name}. See: ksi context`, EXIT.usage);
}
