import type { KsiClient } from '../../client/client.js';
import { check } from '../../../contracts/wire/check.js';
import { Profile, type ProfileView } from '../../../contracts/agents/profiles.js';
import { clientOf } from '../client.js';
import type { Command } from '../command.js';
import { agreed } from '../confirm.js';
import { CliError, EXIT } from '../exit.js';
import { readJsonFile } from '../json-file.js';
import type { GlobalOptions } from '../options.js';
import { fieldLines } from '../output/fields.js';
import { printOne, printTable, type TableOf } from '../output/print.js';
import { say } from '../output/say.js';
import { timesFor } from '../output/times.js';

interface DeleteOptions extends GlobalOptions {
  readonly yes?: true;
}

/** `ksi profiles` */
export function register(program: Command): void {
  const profiles = program
    .command('profiles')
    .description('List, show, set and delete profiles of agents')
    .withExamples('ksi profiles', 'ksi profiles show reviewer', 'ksi profiles set mine mine.json');
  profiles
    .command('list', { isDefault: true })
    .description('List your profiles, and those in files')
    .withExamples('ksi profiles', "ksi profiles -o json | jq -r '.[].role' | sort -u")
    .calls(list);
  profiles
    .command('show')
    .description('Show a profile')
    .argument('<name>', 'its name')
    .withExamples('ksi profiles show reviewer', 'ksi profiles show reviewer -o json | jq .options')
    .calls(async (client, name: string, options: GlobalOptions) => {
      const profile = await client.profiles.get(name);
      printOne(profile, (shown) => fieldLines(shown, timesFor(options)), options);
    });
  profiles
    .command('set')
    .description('Store your own profile, which overrides a file of the same name')
    .argument('<name>', 'its name')
    .argument('<file>', 'JSON: {"role": …, "capabilities": […], "composition": …, "options": {…}}')
    .withValues({ file: 'files' })
    .withExamples(
      'ksi profiles set mine mine.json',
      "ksi profiles show reviewer -o json | jq '{role, options}' > mine.json && ksi profiles set mine mine.json",
    )
    .runs(set);
  profiles
    .command('delete')
    .description('Delete your own profile; a file of the same name takes effect again')
    .argument('<name>', 'its name')
    .option('--yes', 'do not ask')
    .withExamples('ksi profiles delete mine --yes')
    .runs(remove);
}

async function list(client: KsiClient, options: GlobalOptions): Promise<void> {
  const found = client.profiles.list();
  const { broken } = await found;
  printTable(await found.all(), TABLE, options);
  for (const { name, problem } of broken) say(options, `The file of ${name} is no profile: ${problem}`);
}

const TABLE: TableOf<ProfileView> = {
  head: ['PROFILE', 'FROM', 'ROLE', 'COMPOSITION', 'CAPABILITIES', 'DESCRIPTION'],
  row: ({ name, origin, role, composition, capabilities = [], description }) => [
    name,
    origin,
    role ?? '',
    composition ?? '',
    capabilities.join(','),
    description ?? '',
  ],
};

async function set(name: string, file: string, options: GlobalOptions): Promise<void> {
  const profile = check(Profile, readJsonFile(file));
  if (!profile.ok)
    throw new CliError(
      `${file}: ${profile.faults.map(({ field, message }) => `\`${field}\` ${message}`).join('; ')}`,
      EXIT.usage,
    );
  const stored = await clientOf(options).profiles.set(name, profile.value);
  printOne(stored, () => '', options);
  if (options.output === 'text') say(options, `Stored ${name}.`);
}

async function remove(name: string, options: DeleteOptions): Promise<number> {
  if (!(await agreed(`the profile ${name}`, options))) return EXIT.failure;
  await clientOf(options).profiles.delete(name);
  say(options, `Deleted ${name}.`);
  return EXIT.ok;
}
