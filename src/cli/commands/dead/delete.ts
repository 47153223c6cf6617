import type { Command } from '../../command.js';
import type { KsiClient } from '../../../client/client.js';
import { agreed, mustBeAskable } from '../../confirm.js';
import { clientOf } from '../../client.js';
import { forEachOf } from '../../each.js';
import { EXIT } from '../../exit.js';
import { taskIds } from '../../ids.js';
import type { GlobalOptions } from '../../options.js';
import { printLines } from '../../output/print.js';
import { say } from '../../output/say.js';
import { filterOf, withFilter, type Filter } from './filter.js';
import { eitherOr } from './which.js';

interface Options extends GlobalOptions, Filter {
  readonly all?: true;
  readonly yes?: true;
}

/** The API's maximum page size. */
const PAGE = 500;

/** `ksi dead delete` */
export function register(dead: Command): void {
  withFilter(
    dead
      .command('delete')
      .description('Delete dead letters permanently, and print their ids')
      .argument('[ids...]', 'the tasks’ ids', taskIds)
      .option('--all', 'all that match the filters'),
  )
    .option('-y, --yes', 'do not ask; required for --all without a terminal')
    .withValues({ ids: 'dead', queue: 'queues' })
    .withExamples('ksi dead delete ID', 'ksi dead delete --all --queue default --yes')
    .runs(remove);
}

async function remove(named: readonly string[], options: Options): Promise<number> {
  const which = eitherOr(named, options);
  if (which === 'all') mustBeAskable('all that match', options);
  await using client = clientOf(options);
  const ids = which === 'all' ? await idsOf(client, filterOf(options)) : named;
  if (ids.length === 0) {
    say(options, 'No matching dead letters.');
    return EXIT.ok;
  }
  if (!(await agreed(counted(ids.length), options))) return EXIT.failure;
  const { done, exitCode } = await forEachOf(ids, async (id) => {
    await client.dead.delete(id);
    return { task_id: id };
  });
  printLines(done, ({ task_id }) => task_id, options);
  return exitCode;
}

const counted = (count: number): string => `${count} dead letter${count === 1 ? '' : 's'}`;

async function idsOf(client: KsiClient, filter: Filter): Promise<string[]> {
  const letters = await client.dead.list({ ...filter, limit: PAGE }).all();
  return letters.map(({ task_id: id }) => id);
}
