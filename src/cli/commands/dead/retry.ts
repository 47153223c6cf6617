import type { Command } from '../../command.js';
import type { DeadRetryAnswer } from '../../../../contracts/tasks/dead-letters.js';
import type { KsiClient } from '../../../client/client.js';
import { clientOf } from '../../client.js';
import { forEachOf } from '../../each.js';
import { EXIT } from '../../exit.js';
import { taskIds } from '../../ids.js';
import { wholeNumber, type GlobalOptions } from '../../options.js';
import { printLines } from '../../output/print.js';
import { say } from '../../output/say.js';
import { filterOf, withFilter, type Filter } from './filter.js';
import { eitherOr } from './which.js';

interface Options extends GlobalOptions, Filter {
  readonly all?: true;
  readonly limit: number;
}

type PutBack = DeadRetryAnswer['retried'][number];

const DEFAULT_LIMIT = 100;
const MAX_ITEMS = 1_000;

/** `ksi dead retry` */
export function register(dead: Command): void {
  withFilter(
    dead
      .command('retry')
      .description('Requeue dead letters as new tasks, print the old and new ids, and delete the dead letters')
      .argument('[ids...]', 'the tasks’ ids', taskIds)
      .option('--all', 'all that match the filters'),
  )
    .option(
      '-n, --limit <count>',
      'with --all: the maximum number, oldest first',
      wholeNumber(1, MAX_ITEMS),
      DEFAULT_LIMIT,
    )
    .withValues({ ids: 'dead', queue: 'queues' })
    .withExamples('ksi dead retry ID', 'ksi dead retry --all --queue default --limit 10')
    .runs(retry);
}

async function retry(ids: readonly string[], options: Options): Promise<number> {
  const which = eitherOr(ids, options);
  await using client = clientOf(options);
  const { done, exitCode } = which === 'all' ? await retryAll(client, options) : await forEachOf(ids, one(client));
  printLines(done, ({ retry_of, task_id }) => `${retry_of}  ${task_id}`, options);
  return exitCode;
}

const one =
  (client: KsiClient) =>
  async (id: string): Promise<PutBack> => ({ retry_of: id, task_id: (await client.dead.retry(id)).task_id });

async function retryAll(client: KsiClient, options: Options): Promise<{ done: readonly PutBack[]; exitCode: number }> {
  const { retried: done, refused } = await client.dead.retryAll({ ...filterOf(options), limit: options.limit });
  for (const { task_id, code, detail } of refused) process.stderr.write(`${task_id} (${code}): ${detail}\n`);
  if (done.length + refused.length === 0) say(options, 'No matching dead letters.');
  if (done.length + refused.length === options.limit)
    say(options, `Stopped at the limit of ${options.limit}. There may be more dead letters.`);
  return { done, exitCode: refused.length === 0 ? EXIT.ok : EXIT.failure };
}
