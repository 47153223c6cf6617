import type { MovedItem } from '../../bridge/move/item.js';
import { EXIT } from '../exit.js';
import type { OutputFormat } from '../options.js';

/** Prints what a move comes to, as it goes. @returns the exit code: a failure when something could not be brought. */
export async function printMoved(
  items: AsyncIterable<MovedItem>,
  format: OutputFormat,
  dryRun: boolean,
): Promise<number> {
  const counts: Record<MovedItem['outcome'], number> = { brought: 0, there: 0, kept: 0, left: 0, failed: 0 };
  const all: MovedItem[] = [];
  for await (const item of items) {
    counts[item.outcome] += 1;
    if (format === 'json') all.push(item);
    else if (format !== 'none') process.stdout.write(format === 'jsonl' ? `${JSON.stringify(item)}\n` : lineOf(item));
  }
  if (format === 'json') process.stdout.write(`${JSON.stringify(all)}\n`);
  const told = Object.entries(counts).flatMap(([outcome, count]) => (count === 0 ? [] : [`${count} ${outcome}`]));
  process.stderr.write(
    `${dryRun ? 'Nothing was changed; it would be: ' : ''}${told.join(', ') || 'There is nothing'}\n`,
  );
  return counts.failed > 0 ? EXIT.failure : EXIT.ok;
}

const lineOf = ({ outcome, kind, name, note }: MovedItem): string =>
  `${outcome.padEnd(8)} ${kind.padEnd(12)} ${name}${note === undefined ? '' : `   ${note}`}\n`;
