import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { trendOf, type Point, type Quantity } from '../soak/trend.js';

const memory: Quantity = { name: 'memory', unit: 'MB', absolute: 5, relative: 0.1 };
const points = (value: (at: number) => number): Point[] =>
  Array.from({ length: 100 }, (_, index) => ({ at: index * 5, value: value(index * 5) }));

describe('the trend of a soak', () => {
  it('is flat for a constant with noise and for rare spikes', () => {
    const noisy = points((at) => 100 + Math.sin(at) * 3 + (at % 125 === 0 ? 80 : 0));
    assert.equal(trendOf(memory, noisy, 250)?.flat, true);
  });

  it('ignores growth in the warm-up', () => {
    const warming = points((at) => Math.min(at, 250));
    assert.equal(trendOf(memory, warming, 250)?.flat, true);
    assert.equal(trendOf(memory, warming, 0)?.flat, false);
  });

  it('finds a slow leak, and reports its growth after the warm-up', () => {
    const trend = trendOf(
      memory,
      points((at) => 100 + at / 10),
      250,
    );
    assert.equal(trend?.flat, false);
    assert.equal(Math.round(trend?.growth ?? 0), 25);
  });

  it('needs at least three points', () => {
    assert.equal(trendOf(memory, points((at) => at).slice(0, 2), 0), undefined);
  });
});
