import type { History, Reader } from '../history.js';
import type { Check } from './check.js';

/** No more than so many of a reader are worth reading. */
const SHOWN = 5;

export const readersMissNothing: Check = {
  title: "gaps, repeats or disorder in a reader's events",
  violations: (history) => history.readers.flatMap((reader) => violationsOf(reader, history)),
};

function violationsOf({ name, taskId, seqs, complaints }: Reader, { stored }: History): string[] {
  const expected = stored.filter((row) => taskId === undefined || row.taskId === taskId).map(({ seq }) => seq);
  const known = new Set(expected);
  const got = new Set(seqs);
  const disorder = seqs.flatMap((seq, at) => {
    const before = seqs[at - 1];
    return before !== undefined && seq <= before ? [`${seq} after ${before}`] : [];
  });
  const found: [string, readonly unknown[]][] = [
    ['was told', complaints],
    ['received', disorder],
    ['never received', expected.filter((seq) => !got.has(seq))],
    ['received what is not stored:', seqs.filter((seq) => !known.has(seq))],
  ];
  return found.flatMap(([what, items]) =>
    items.length === 0
      ? []
      : [`${name} ${what} ${items.slice(0, SHOWN).join(', ')}${items.length > SHOWN ? ` … (${items.length})` : ''}`],
  );
}
