/** Seeds that ever failed, with what each found: they are run always. The worlds that they make change with the simulation itself. */
export const SEEDS: readonly { readonly seed: number; readonly found: string }[] = [
  { seed: 99, found: 'a claim gave its run back, instead of waiting, when the transcript could not be read' },
  { seed: 200, found: 'a worker that had stood still began Claude for a moment after its lease' },
  { seed: 301, found: 'the same, right after its start was stored' },
  { seed: 749, found: 'the same, on the second attempt' },
  { seed: 1111, found: 'the same, with a task of the same session that had ended' },
  { seed: 1722, found: 'the same, with one fault alone' },
  { seed: 2023, found: "a claim that was too late voided the transcript of the session's task that had ended meanwhile" },
];
