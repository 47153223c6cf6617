import type { KsiClient } from '../../client/client.js';
import { Option } from 'commander';
import type { Command } from '../command.js';
import { SCOPES, type Scope } from '../../../contracts/wire/choices.js';
import type { TokenRequest, TokenView } from '../../../contracts/access/tokens.js';
import { positiveNumber, type GlobalOptions } from '../options.js';
import { printOne, printTable, type TableOf } from '../output/print.js';
import { say } from '../output/say.js';
import { timesFor, type ShowTime } from '../output/times.js';
import { lengthOfTime } from '../times-given.js';
import { defined } from '../../defined.js';

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

/** `ksi tokens` */
export function register(program: Command): void {
  const tokens = program
    .command('tokens')
    .description('Create, list and revoke tokens (scope admin)')
    .withExamples(
      'ksi tokens',
      'ksi tokens create --owner ann --scope spawn read --expires 30d > ann.token',
      'ksi tokens revoke ID',
    );
  tokens
    .command('create')
    .description('Create a token and print it to stdout; it is not stored and cannot be shown again')
    .option('--owner <owner>', 'the owner of its tasks (default: the owner of your token)')
    .addOption(
      new Option('--scope <scope...>', `what it may do (default: ${DEFAULT_SCOPES.join(' ')})`).choices([...SCOPES]),
    )
    .option('--all-owners', 'let it see the tasks of all owners')
    .option('--description <text>', 'its purpose')
    .addOption(
      new Option(
        '--expires <time>',
        'how long it is valid, such as 12h or 30d (default: until it is revoked)',
      ).argParser(lengthOfTime),
    )
    .option('--rate <rate>', 'its limit of spawns, such as 60/minute')
    .addOption(new Option('--concurrency <tasks>', 'its limit of open tasks').argParser(positiveNumber))
    .withExamples(
      'ksi tokens create --owner ann --scope spawn read --expires 30d > ann.token',
      'ksi tokens create --scope read --all-owners --description "the wall"',
    )
    .calls(create);
  tokens
    .command('list', { isDefault: true })
    .description('List the tokens, without their secrets')
    .withExamples('ksi tokens', "ksi tokens -o json | jq -r '.[].owner' | sort -u")
    .calls(list);
  tokens
    .command('revoke')
    .argument('<id...>', 'ids, as `ksi tokens list` shows them')
    .description('Revoke tokens, and close their open connections')
    .withExamples('ksi tokens revoke ID')
    .calls(revoke);
}

async function create(client: KsiClient, options: CreateOptions): Promise<void> {
  const { owner, allOwners, description, expires, rate, concurrency } = options;
  const request: TokenRequest = {
    scopes: [...(options.scope ?? DEFAULT_SCOPES)],
    ...defined({ owner, all_owners: allOwners, description, expires_in_s: expires, rate, concurrency }),
  };
  const created = await client.tokens.create(request);
  printOne(created, ({ token }) => `${token}\n`, options);
  if (options.output === 'text')
    say(options, `Token ${created.token_id} of ${created.owner}. It is not shown again; use it as KSI_TOKEN.`);
}

async function list(client: KsiClient, options: GlobalOptions): Promise<void> {
  const tokens = await client.tokens.list().all();
  printTable(tokens, table(timesFor(options)), options);
  if (tokens.length === 0 && options.output === 'text') say(options, 'No tokens except the one in the token file.');
}

async function revoke(client: KsiClient, ids: readonly string[], options: GlobalOptions): Promise<void> {
  for (const id of ids) {
    await client.tokens.revoke(id);
    say(options, `Revoked ${id}.`);
  }
}

const table = (when: ShowTime): TableOf<TokenView> => ({
  head: ['TOKEN', 'OWNER', 'SCOPES', 'SEES', 'CREATED', 'EXPIRES', 'DESCRIPTION'],
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
