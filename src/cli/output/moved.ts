import type { MovedItem } from '../../bridge/migration/item.js';
import { EXIT } from '../exit.js';
import type { OutputFormat } from '../options.js';
import { jsonLine, shownOn } from './printable.js';

/** Prints the items of an import or export as they are processed. @returns the exit code: a failure if an item failed. */
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
    else if (format !== 'none')
      process.stdout.write(format === 'jsonl' ? jsonLine(item) : shownOn(process.stdout, formatItem(item)));
  }
  if (format === 'json') process.stdout.write(jsonLine(all));
  const summary = Object.entries(counts).flatMap(([outcome, count]) => (count === 0 ? [] : [`${count} ${outcome}`]));
  process.stderr.write(
    `${dryRun ? 'Nothing was changed. It would be: ' : ''}${summary.join(', ') || 'nothing to move'}\n`,
  );
  return counts.failed > 0 ? EXIT.failure : EXIT.ok;
}

const formatItem = ({ outcome, kind, name, note }: MovedItem): string =>
  `${outcome.padEnd(8)} ${kind.padEnd(12)} ${name}${note === undefined ? '' : `   ${note}`}\n`;
