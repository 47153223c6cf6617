import { Option } from 'commander';
import type { Command } from '../command.js';
import { SCOPES, type Scope } from '../../../contracts/wire/choices.js';
import type { TokenRequest, TokenShown } from '../../../contracts/access/tokens.js';
import { clientOf } from '../client.js';
import { EXIT } from '../exit.js';
import { positiveNumber, type GlobalOptions } from '../options.js';
import { printOne, printTable, type TableOf } from '../output/print.js';
import { say } from '../output/say.js';
import { timesFor, type ShowTime } from '../output/times.js';
import { runCommand } from '../run.js';
import { lengthOfTime } from '../times-given.js';

interface CreateOptions extends GlobalOptions {
  readonly owner?: string;
  readonly scope?: readonly Scope[];
  readonly allOwners?: boolean;
  readonly description?: string;
  readonly expires?: number;
  readonly rate?: string;
  readonly concurrency?: number;
}

const DEFAULT_SCOPES: readonly Scope[] = ['spawn', 'read'];

/** `ksi tokens`: who may use the cluster. */
export function register(program: Command): void {
  const tokens = program
    .command('tokens')
    .description('Make, list and revoke tokens (scope admin)')
    .withExamples(
      'ksi tokens',
      'ksi tokens create --owner ann --scope spawn read --expires 30d > ann.token',
      'ksi tokens revoke ID',
    );
  tokens
    .command('create')
    .description('Make a token; it is printed once, to stdout, and kept nowhere')
    .option('--owner <owner>', 'whose its tasks are; default: the owner of your token')
    .addOption(
      new Option('--scope <scope...>', `what it may do; default: ${DEFAULT_SCOPES.join(' ')}`).choices([...SCOPES]),
    )
    .option('--all-owners', "it sees other owners' tasks too")
    .option('--description <text>', 'what it is used for')
    .addOption(
      new Option('--expires <time>', 'how long it holds, as 12h or 30d; default: until it is revoked').argParser(
        lengthOfTime,
      ),
    )
    .option('--rate <rate>', 'spawns that it may ask for, as 60/minute')
    .addOption(new Option('--concurrency <tasks>', 'its tasks that may be open at once').argParser(positiveNumber))
    .withExamples(
      'ksi tokens create --owner ann --scope spawn read --expires 30d > ann.token',
      'ksi tokens create --scope read --all-owners --description "the wall"',
    )
    .action((_options: unknown, command: Command) =>
      runCommand(() => create(command.optsWithGlobals<CreateOptions>())),
    );
  tokens
    .command('list', { isDefault: true })
    .description('List the tokens, without their secrets')
    .withExamples('ksi tokens', "ksi tokens -o json | jq -r '.[].owner' | sort -u")
    .action((_options: unknown, command: Command) => runCommand(() => list(command.optsWithGlobals<GlobalOptions>())));
  tokens
    .command('revoke')
    .argument('<id...>', 'ids, as `ksi tokens list` shows them')
    .description('Let nobody in any more with these tokens, and end their open connections')
    .withExamples('ksi tokens revoke ID')
    .action((ids: string[], _options: unknown, command: Command) =>
      runCommand(() => revoke(ids, command.optsWithGlobals<GlobalOptions>())),
    );
}

async function create(options: CreateOptions): Promise<number> {
  const { owner, allOwners, description, expires, rate, concurrency } = options;
  const request: TokenRequest = {
    scopes: [...(options.scope ?? DEFAULT_SCOPES)],
    ...(owner === undefined ? {} : { owner }),
    ...(allOwners === undefined ? {} : { all_owners: allOwners }),
    ...(description === undefined ? {} : { description }),
    ...(expires === undefined ? {} : { expires_in_s: expires }),
    ...(rate === undefined ? {} : { rate }),
    ...(concurrency === undefined ? {} : { concurrency }),
  };
  const created = await clientOf(options).tokens.create(request);
  printOne(created, ({ token }) => `${token}\n`, options);
  if (options.output === 'text')
    say(options, `Token ${created.token_id} of ${created.owner}. It is shown this once; use it as KSI_TOKEN.`);
  return EXIT.ok;
}

async function list(options: GlobalOptions): Promise<number> {
  const tokens = await clientOf(options).tokens.list().all();
  printTable(tokens, table(timesFor(options)), options);
  if (tokens.length === 0 && options.output === 'text')
    say(options, 'There are no tokens but the one of the token file.');
  return EXIT.ok;
}

async function revoke(ids: readonly string[], options: GlobalOptions): Promise<number> {
  const client = clientOf(options);
  for (const id of ids) {
    await client.tokens.revoke(id);
    say(options, `Revoked ${id}.`);
  }
  return EXIT.ok;
}

const table = (when: ShowTime): TableOf<TokenShown> => ({
  head: ['TOKEN', 'OWNER', 'SCOPES', 'SEES', 'CREATED', 'ENDS', 'DESCRIPTION'],
  row: (token) => [
    token.token_id,
    token.owner,
    token.scopes.join(','),
    token.all_owners ? 'all' : 'its own',
    when(token.created_at),
    token.expires_at === undefined ? 'never' : when(token.expires_at),
    token.description ?? '',
  ],
});
