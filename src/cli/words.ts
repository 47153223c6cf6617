/** Beyond this many wrong letters a word is another word. */
const MAX_EDITS = 3;
/** As is one of which most letters are wrong. */
const MIN_ALIKE = 0.4;

/** Of `candidates` the one that a person most likely meant by `word`; undefined when none is like it. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const typed = word.toLowerCase();
  let best: string | undefined;
  let fewest = MAX_EDITS + 1;
  for (const candidate of candidates) {
    const edits = editsBetween(typed, candidate.toLowerCase());
    const longest = Math.max(typed.length, candidate.length);
    if (edits < fewest && (longest - edits) / longest > MIN_ALIKE) [best, fewest] = [candidate, edits];
  }
  return best;
}

/** How many letters to add, drop, change or swap with their neighbour (optimal string alignment). */
function editsBetween(from: string, to: string): number {
  let before: number[] = [];
  let last = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let i = 1; i <= from.length; i++) {
    const row = [i];
    for (let j = 1; j <= to.length; j++) {
      const same = from[i - 1] === to[j - 1];
      let edits = Math.min((row[j - 1] ?? 0) + 1, (last[j] ?? 0) + 1, (last[j - 1] ?? 0) + (same ? 0 : 1));
      if (i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1])
        edits = Math.min(edits, (before[j - 2] ?? 0) + 1);
      row.push(edits);
    }
    [before, last] = [last, row];
  }
  return last[to.length] ?? 0;
}
