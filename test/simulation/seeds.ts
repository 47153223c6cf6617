/** Seeds that ever failed, with what each found: they are run always. The worlds that they make change with the simulation itself. */
export const SEEDS: readonly { readonly seed: number; readonly found: string }[] = [
  {
    seed: 78,
    found:
      'a task was cancelled while the broker, killed, forgot its delivery: its session went on beside an attempt that was alive',
  },
  { seed: 99, found: 'a claim gave its run back, instead of waiting, when the transcript could not be read' },
  { seed: 200, found: 'a worker that had stood still began Claude for a moment after its lease' },
  {
    seed: 259,
    found: 'a run that the broker had forgotten to have delivered was given back for want of room, and then taken over',
  },
  { seed: 301, found: 'the same, right after its start was stored' },
  { seed: 693, found: 'a nak that was long on its way gave back a run that was alive by then: the fence is for that' },
  { seed: 749, found: 'the same, on the second attempt' },
  { seed: 1111, found: 'the same, with a task of the same session that had ended' },
  { seed: 1722, found: 'the same, with one fault alone' },
  { seed: 1401, found: 'as 78' },
  {
    seed: 2023,
    found: "a claim that was too late voided the transcript of the session's task that had ended meanwhile",
  },
];
