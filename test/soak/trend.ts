/** One measured quantity: what may grow by how much before a run counts it as a leak. */
export interface Quantity {
  readonly name: string;
  readonly unit: 'MB' | '';
  /** Growth over the counted part of the run that noise explains: this much, or `relative` of the median, whichever is more. */
  readonly absolute: number;
  readonly relative: number;
}

export interface Point {
  /** Seconds since the run began. */
  readonly at: number;
  readonly value: number;
}

export interface Trend {
  readonly median: number;
  /** What the fitted line gains from the first counted point to the last. */
  readonly growth: number;
  readonly allowed: number;
  readonly flat: boolean;
}

/** The Theil–Sen line (the median of all pairs' slopes), which single spikes do not move. Pure. @returns undefined below 3 points. */
export function trendOf(quantity: Quantity, points: readonly Point[], from: number): Trend | undefined {
  const counted = points.filter(({ at }) => at >= from);
  const [first, last] = [counted.at(0), counted.at(-1)];
  if (first === undefined || last === undefined || counted.length < 3) return undefined;
  const slopes = counted.flatMap((a, index) =>
    counted.slice(index + 1).map((b) => (b.value - a.value) / (b.at - a.at)),
  );
  const median = medianOf(counted.map(({ value }) => value));
  const growth = medianOf(slopes) * (last.at - first.at);
  const allowed = Math.max(quantity.absolute, quantity.relative * median);
  return { median, growth, allowed, flat: growth <= allowed };
}

function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const at = (index: number): number => sorted[index] ?? 0;
  return sorted.length % 2 === 1 ? at(Math.floor(middle)) : (at(middle - 1) + at(middle)) / 2;
}
