/** Amounts are summed in billionths of a dollar. List prices per token are whole billionths, and sums are exact up to nine million dollars. */
const PER_USD = 1e9;

const nanos = (usd: number): number => Math.round(usd * PER_USD);

/** Adds amounts in US dollars without binary rounding errors (0.1 + 0.2 is 0.3). */
export const addUsd = (...amounts: readonly number[]): number =>
  amounts.reduce((sum, usd) => sum + nanos(usd), 0) / PER_USD;
